"""The real command line, in a folder and a home of its own."""
import os
import pathlib
import pty
import select
import subprocess
import termios

from server import build_dir


class CommandLine:
    def __init__(self, folder):
        self.program = build_dir() / "magpie"
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm",
            "MAGPIE_DATA_DIR": str(folder / "no-data"),
            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}

    def run(self, *arguments, input="", **environment):
        """Off a terminal, as a script runs it. stdout and stderr are text."""
        return subprocess.run([self.program, *map(str, arguments)], input=input, text=True, timeout=60,
                              capture_output=True, cwd=self.folder,
                              env={**self.environment, **environment})

    def watch(self, *arguments, columns=0, **environment):
        """On a terminal: the exit code, and all that a person would see. 0 columns: it tells none."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        with subprocess.Popen([self.program, *map(str, arguments)], stdin=theirs, stdout=theirs,
                              stderr=theirs, cwd=self.folder, start_new_session=True,
                              env={**self.environment, **environment}) as process:
            os.close(theirs)
            seen = b""
            while select.select([ours], [], [], 60)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # EIO: the last of them closed the terminal
                    break
            os.close(ours)
            return process.wait(60), seen.decode().replace("\r\n", "\n")

    def write(self, name, content, mode=0o644):
        path = pathlib.Path(self.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path
