"""Where pages live: servers, sessions, notebooks."""
