"""A terminal with a person at it: a shell in Debian's tmux."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.supervised import eventually

PROMPT = "$ "
_BIN = Path(sys.executable).parent
# The file that each shell reads first, what is in it, and the command. All have the completion as
# docs/command-line.md says.
_SHELLS = {
    "bash": (
        "bashrc",
        [f"PS1='{PROMPT}'", "source <(area-supervisor completion bash)"],
        "bash --rcfile {start} -i",
    ),
    "zsh": (
        ".zshrc",
        [
            f"PS1='{PROMPT}'",
            "mkdir ~/functions; fpath=(~/functions $fpath)",
            "area-supervisor completion zsh > ~/functions/_area-supervisor",
            "autoload -U compinit; compinit -u -D",
        ],
        "zsh --no-globalrcs -i",
    ),
    "fish": (
        ".config/fish/config.fish",
        [
            f"function fish_prompt; echo -n '{PROMPT}'; end",
            "set -g fish_greeting; set -g fish_autosuggestion_enabled 0",
            "mkdir -p ~/.config/fish/completions",
            "area-supervisor completion fish > ~/.config/fish/completions/area-supervisor.fish",
        ],
        "fish",
    ),
}


class Terminal:
    """What a person types, and sees."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def press(self, key: str) -> None:
        """Enter, Tab, C-c …"""
        self._run("send-keys", key)

    def enter(self, command: str) -> None:
        self.type(command)
        self.press("Enter")

    def screen(self) -> str:
        """What is seen, without blanks at the ends."""
        lines = self._run("capture-pane", "-p").splitlines()
        return "\n".join(line.rstrip() for line in lines).rstrip("\n")

    def shows(self, text: str, *, within: float = 20) -> str:
        """The screen, once it has a text."""
        return eventually(lambda: self.screen() if text in self.screen() else "", within=within)

    def run(self, command: str) -> str:
        """Clear the screen, run a command, and return what it has printed, at its end."""
        self.clear()
        self.enter(command)
        screen = eventually(self._at_the_prompt_again, within=30)
        return screen.removeprefix(f"{PROMPT}{command}\n").removesuffix(f"\n{PROMPT.rstrip()}")

    def clear(self) -> None:
        self.press("C-l")
        eventually(lambda: PROMPT.rstrip() == self.screen())

    def _at_the_prompt_again(self) -> str:
        screen = self.screen()
        done = "\n" in screen and screen.splitlines()[-1] == PROMPT.rstrip()
        return screen if done else ""

    def begin(
        self, folder: Path, environment: Mapping[str, str], shell: str, columns: int, lines: int
    ) -> None:
        name, first, command = _SHELLS[shell]
        start = folder / name
        start.parent.mkdir(parents=True, exist_ok=True)
        start.write_text("\n".join((*first, "")))
        size = ["-x", str(columns), "-y", str(lines)]
        path = f"{_BIN}:{os.environ['PATH']}"
        ours = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8"} | dict(environment)
        self._run("new-session", "-d", *size, command.format(start=start), env=ours)
        self.shows(PROMPT.rstrip())

    def end(self) -> None:
        self._run("kill-server")

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout


@contextmanager
def a_terminal(
    folder: Path,
    environment: Mapping[str, str],
    *,
    shell: str = "bash",
    columns: int = 110,
    lines: int = 30,
) -> Iterator[Terminal]:
    """A terminal with a shell in an environment of its own."""
    terminal = Terminal(folder / "tmux.sock")
    terminal.begin(folder, environment, shell, columns, lines)
    try:
        yield terminal
    finally:
        terminal.end()
