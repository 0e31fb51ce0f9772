"""Starting a node: what it says when it cannot."""
import subprocess

from server import build_dir, free_port


def serve(*arguments, **options):
    """A node that is expected to end by itself."""
    return subprocess.run([build_dir() / "magpie", "serve", "--listen", f"127.0.0.1:{free_port()}",
                           *arguments], capture_output=True, text=True, timeout=60, **options)


def test_a_data_folder_behind_a_closed_one_is_said_with_what_mends_it(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (closed, *closed.parents):
        if folder.stat().st_mode & 0o001 == 0:
            outermost = folder
    ended = serve("--data-dir", closed / "data")
    assert ended.returncode == 1
    assert f"chmod o+x {outermost}" in ended.stderr and "--data-dir" in ended.stderr
    assert "finishing the requests" not in ended.stderr
