import io
import threading
from pathlib import Path

from local_cluster.locks import exclusive
from local_cluster.progress import Reporter


def test_a_command_says_what_it_waits_for_and_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    order: list[str] = []
    waiting, stream = threading.Event(), io.StringIO()

    class Announcing(Reporter):
        def say(self, text: str) -> None:
            super().say(text)
            waiting.set()

    def second() -> None:
        with exclusive(tmp_path / "lock", Announcing(stream), "another build"):
            order.append("second")

    with exclusive(tmp_path / "lock", Reporter(io.StringIO()), "nobody"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(timeout=10)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert stream.getvalue() == "Waiting for another build to end\n"
