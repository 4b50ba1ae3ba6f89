"""Files that visitors send in pieces, without a browser."""

import numpy as np
import pytest

from imnn_lab.laboratory.offer import size_words
from imnn_lab.laboratory.sending import FileSender
from imnn_lab.laboratory.sent import MOST_FILES, PIECE, Sent


def sender(sent):
    """Return what sends a message as a browser does, and returns the answer."""
    box, answers = FileSender(sent, "files"), []
    box._send_msg = answers.append

    def send(**message):
        box._handle_msg(message | {"id": len(answers)})
        assert answers[-1]["id"] == len(answers) - 1
        return answers[-1].get("refused", "")

    return box, send


def test_a_file_in_pieces_is_whole_or_not_there(tmp_path):
    sent = Sent(4 * PIECE, (".npy",))
    box, send = sender(sent)
    content = np.random.default_rng(0).bytes(2 * PIECE + 10)
    assert send(do="begin", name="fiducial.npy", size=len(content)) == ""
    for at in range(0, len(content), PIECE):
        assert (sent.paths, box.held) == ([], "")
        assert send(do="piece", at=at, piece=content[at : at + PIECE]) == ""
    assert send(do="end") == ""
    assert [path.read_bytes() for path in sent.paths] == [content]
    assert box.held == "fiducial.npy (2 MB)"
    assert FileSender(sent, "files").held == box.held, "a page that is opened later says so too"
    send(do="begin", name="more.npy", size=0)
    send(do="end")
    assert box.names == ["fiducial.npy", "more.npy"]
    assert send(do="remove", name="more.npy") == send(do="remove", name="../x") == ""
    assert box.names == ["fiducial.npy"]
    assert send(do="clear") == ""
    assert (sent.paths, box.held) == ([], "")
    place = sent.directory
    sent.close()
    assert not place.exists()


@pytest.mark.parametrize("ends", ["cancel", "page", "hole", "short", "long", "again", "nonsense"])
def test_nothing_is_left_of_a_file_that_did_not_come_as_a_whole(ends):
    sent = Sent(4 * PIECE, (".npy",))
    box, send = sender(sent)
    send(do="begin", name="a.npy", size=1000)
    send(do="piece", at=0, piece=b"x" * 500)
    assert len(list(sent.directory.iterdir())) == 1
    if ends == "cancel":
        assert send(do="cancel") == ""
    elif ends == "page":
        box.cancel()
    elif ends == "again":
        send(do="begin", name="b.txt", size=1)
    else:
        messages = {
            "hole": {"do": "piece", "at": 600, "piece": b"x"},
            "short": {"do": "end"},
            "long": {"do": "piece", "at": 500, "piece": b"x" * 501},
            "nonsense": {"do": "piece", "piece": None},
        }
        assert send(**messages[ends]) != ""
    assert list(sent.directory.iterdir()) == []
    assert "lost the beginning" in send(do="piece", at=500, piece=b"x")
    assert send(do="begin", name="a.npy", size=0) == ""
    assert send(do="end") == ""
    assert [path.name for path in sent.paths] == ["a.npy"], "it can be sent again"


def test_what_has_no_room_or_no_plain_name_is_refused_before_it_comes():
    sent = Sent(1000, (".npy", ".npz"))
    _, send = sender(sent)
    for name in (
        "../a.npy",
        "/a.npy",
        "a/b.npy",
        ".npy",
        ".a.npy",
        "",
        "a\n.npy",
        "a" * 200 + ".npy",
    ):
        assert "must" in send(do="begin", name=name, size=1)
    assert "must end in .npy, .npz" in send(do="begin", name="a.pkl", size=1)
    for size in (-1, 1.5, None, "1"):
        assert "`size`" in send(do="begin", name="a.npy", size=size)
    assert "must have at most" in send(do="begin", name="a.npy", size=1001)
    other = sender(sent)[1]
    assert send(do="begin", name="a.npy", size=600) == ""
    assert "must have at most" in other(do="begin", name="b.npy", size=600), "of all together"
    assert list(sent.directory.iterdir()) != []
    assert send(do="cancel") == ""
    for i in range(MOST_FILES):
        (sent.directory / f"{i}.npy").touch()
    assert "must be at most 50" in send(do="begin", name="a.npy", size=1)
    assert send(do="begin", name="3.npy", size=1) == "", "in place of one that is there"


def test_files_of_two_visitors_stay_apart():
    both = [Sent(1000, (".npy",)) for _ in range(2)]
    senders = [sender(sent)[1] for sent in both]
    for content, send in zip((b"a", b"b"), senders, strict=True):
        send(do="begin", name="fiducial.npy", size=2)
        send(do="piece", at=0, piece=content)
    for content, send in zip((b"a", b"b"), senders, strict=True):
        send(do="piece", at=1, piece=content)
        assert send(do="end") == ""
    assert [sent.paths[0].read_bytes() for sent in both] == [b"aa", b"bb"]


def test_sizes_have_the_unit_that_suits_them():
    sizes = {0: "0 B", 11: "11 B", 999: "999 B", 1000: "0.9766 kB", 2**20: "1 MB",
             5 * 2**19: "2.5 MB", 3 * 2**40: "3,072 GB"}  # fmt: skip
    assert {n: size_words(n) for n in sizes} == sizes
