"""What counts as given away while a write is under way."""

from builders import camera, holding, worker
from camera_operator.decide.model import WorkerWrite
from camera_operator.intents import Intents

SHOPS, MALL, ELSEWHERE = ("city", "shops"), ("city", "mall"), ("village", "mall")


def write(*names: str) -> WorkerWrite:
    return WorkerWrite("shops-ingest-0", "new cameras", worker(0, holding(*map(camera, names))).assignment)


def test_a_camera_counts_as_given_until_the_answer_is_known() -> None:
    intents = Intents()
    intents.begin(SHOPS, [write("a", "b")])

    assert intents.holders(["b", "c"], but=MALL) == {"b": "shops-ingest-0"}
    intents.answered(SHOPS, "shops-ingest-0")
    assert intents.holders(["b", "c"], but=MALL) == {}


def test_neither_the_group_itself_nor_another_namespace_is_concerned() -> None:
    intents = Intents()
    intents.begin(SHOPS, [write("a")])

    assert intents.holders(["a"], but=SHOPS) == {}
    assert intents.holders(["a"], but=ELSEWHERE) == {}


def test_a_write_without_an_answer_stays_an_open_question() -> None:
    intents = Intents()
    intents.begin(SHOPS, [write("a")])
    assert intents.open_questions(SHOPS) == []

    intents.unanswered(SHOPS, "shops-ingest-0")

    assert intents.open_questions(SHOPS) == ["shops-ingest-0"]
    assert intents.holders(["a"], but=MALL) == {"a": "shops-ingest-0"}
    intents.answered(SHOPS, "shops-ingest-0")
    assert intents.open_questions(SHOPS) == []


def test_a_write_that_gives_nothing_away_is_none() -> None:
    intents = Intents()
    intents.begin(SHOPS, [WorkerWrite(worker="shops-ingest-0", reason="its size follows its cameras")])
    intents.unanswered(SHOPS, "shops-ingest-0")

    assert intents.open_questions(SHOPS) == []
