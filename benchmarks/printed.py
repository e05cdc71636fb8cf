"""What commands print, put into the README and the docs anew.

python -m benchmarks.printed [WORD]

A block that a command printed stands under a comment with it:

    <!-- $ python -m benchmarks.steps -->

and is replaced, whole, by what the command prints now: a fenced block, or a table. With a WORD,
only those whose page or command has it; with `--list`, they are only named. $DATA is a folder of
similarity tasks, $MINILM one with all-MiniLM-L6-v2; blocks that need what is not given stay as they
are.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(
    r"^(?P<indent> *)<!-- \$ (?P<command>[^\n]+) -->\n(?P<gap>\n?)"
    r"(?P<body>(?P=indent)```\n.*?^(?P=indent)```\n|(?:\|[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)


def commands(page: Path) -> Iterator[str]:
    """Those of a page."""
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield found["command"]


def printed(command: str) -> str:
    """What a command prints on standard output.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    tools = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100", "NO_COLOR": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    return done.stdout


def with_output(text: str, command: str, output: str) -> str:
    """A page's text with the block of a command as it was printed.

    >>> page = "<!-- $ date -->\\n```\\nlong ago\\n```\\n"
    >>> print(with_output(page, "date", "  now  \\n\\n"), end="")
    <!-- $ date -->
    ```
      now
    ```
    """
    lines = [line.rstrip() for line in output.splitlines()]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]

    def put(found: re.Match[str]) -> str:
        if found["command"] != command:
            return found[0]
        indent = found["indent"]
        fenced = found["body"].lstrip().startswith("```")
        body = ["```", *lines, "```"] if fenced else lines
        shown = "".join(f"{indent}{line}".rstrip() + "\n" for line in body)
        return f"{indent}<!-- $ {command} -->\n{found['gap']}{shown}"

    return BLOCK.sub(put, text)


def main() -> None:
    """Run the commands, and write each page as soon as one is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    for page in PAGES:
        for command in commands(page):
            if asked.word not in f"{page.name} {command}":
                continue
            needs = [n for n in ("DATA", "MINILM") if f"${n}" in command and not os.environ.get(n)]
            said = f"{page.relative_to(ROOT)}: {command}"
            if asked.list or needs:
                print(said + (f" (needs ${needs[0]})" if needs else ""), flush=True)
                continue
            started = time.monotonic()
            output = printed(command)
            text = page.read_text(encoding="utf-8")
            page.write_text(with_output(text, command, output), encoding="utf-8")
            print(f"{said}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
