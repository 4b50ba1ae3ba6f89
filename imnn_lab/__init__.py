"""Information-maximising neural networks: train them, watch them, steer them, infer parameters."""
