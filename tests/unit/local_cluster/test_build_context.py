from pathlib import Path

import pytest

from local_cluster import build_context


@pytest.mark.parametrize(
    ("ignore_file", "path", "ignored"),
    [
        ("", "a", False),
        ("# comment\n\n  .git  \n", ".git/config", True),
        (".git", "sub/.git/config", False),
        ("**/.git", "sub/.git/config", True),
        ("**/.git", ".git/config", True),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.pyc", "a/b/c.pyc", True),
        ("/build/", "build/x", True),
        ("./build", "build/x", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a[bx]c", "axc", True),
        ("a[bx]c", "ayc", False),
        ("docs/**/draft", "docs/x/y/draft", True),
        ("*\n!operator\n!crds", "operator/a.py", False),
        ("*\n!operator\n!crds", "tests/a.py", True),
        ("*\n!operator\noperator/**/*.pyc", "operator/x/a.pyc", True),
        ("a.txt", "a-txt", False),
    ],
)
def test_ignore_rules_follow_dockers(ignore_file: str, path: str, ignored: bool) -> None:
    assert build_context.is_ignored(path, build_context.parse_ignore_file(ignore_file)) is ignored


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a")
    (tmp_path / "notes").write_text("n")
    (tmp_path / "link").symlink_to("src")
    return tmp_path


def digest(context: Path, ignore_file: str = "", extra: str = "") -> str:
    return build_context.digest(context, build_context.parse_ignore_file(ignore_file), extra=[extra])


def test_files_and_links_belong_to_the_context(context: Path) -> None:
    found = [str(path.relative_to(context)) for path in build_context.files(context, [])]
    assert sorted(found) == ["link", "notes", "src/a.py"]


def test_the_same_content_has_the_same_digest(context: Path) -> None:
    before = digest(context)
    (context / "src" / "a.py").write_text("a")
    assert digest(context) == before


@pytest.mark.parametrize("change", ["content", "mode", "name", "new", "link", "extra"])
def test_every_change_that_an_image_could_show_changes_the_digest(context: Path, change: str) -> None:
    before = digest(context)
    file = context / "src" / "a.py"
    match change:
        case "content":
            file.write_text("b")
        case "mode":
            file.chmod(0o755)
        case "name":
            file.rename(context / "src" / "b.py")
        case "new":
            (context / "src" / "b.py").touch()
        case "link":
            (context / "link").unlink()
            (context / "link").symlink_to("notes")
    assert digest(context, extra="x" if change == "extra" else "") != before


def test_ignored_files_do_not_count(context: Path) -> None:
    before = digest(context, "notes")
    (context / "notes").write_text("other")
    assert digest(context, "notes") == before
