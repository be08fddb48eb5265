#!/usr/bin/env python3
"""What the documents say of the command line is so."""
import re
import unittest

from harness import OK, TOP, SystemTest, run

README = (TOP / "README.md").read_text()


def command_lines():
    """Every `warren ...` line of a code block, and every entry of the table of commands."""
    for line in README.splitlines():
        found = re.match(r"^    \$ warren (.*?)(?:\s+#.*)?$", line)
        if found:
            yield found.group(1)
    for cell in re.findall(r"^\| [^|`]* \| (.*) \|$", README, flags=re.M):
        yield from (entry.replace("\\|", "|") for entry in re.findall(r"`([^`]+)`", cell))


class Documents(SystemTest):
    def test_every_command_and_option_of_the_readme_exists(self):
        lines = list(command_lines())
        self.assertGreater(len(lines), 15, lines)
        for line in lines:
            with self.subTest(line=line):
                words = re.sub(r"^--home \S+ ", "", line)
                command = words.split()[0]
                outcome = run(command, "--help", json_output=False)
                self.expect(outcome, OK)
                for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words):
                    self.assertIn(option, outcome.out)

    def test_every_command_of_the_program_is_in_the_readme(self):
        helped = run("--help", json_output=False).out
        commands = re.findall(r"^  ([a-z]+)  ", helped.split("Options")[0], flags=re.M)
        self.assertIn("share", commands, helped)
        for command in commands:
            self.assertRegex(README, rf"[`|, ]{command}[`, |]")

    def test_the_exit_codes_of_the_readme_are_those_of_the_program(self):
        table = run("help", "exit-codes", json_output=False).out
        for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 124, 130):
            self.assertRegex(table, rf"(?m)^\s*{code}\s")
            self.assertRegex(README, rf"(?<!\d){code} [a-z]")

    def test_the_paths_that_the_documents_name_exist(self):
        for file in [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted(TOP.glob("docs/**/*.md"))]:
            text = file.read_text()
            for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
                self.assertTrue((file.parent / target).exists(), f"{file}: {target}")
            for target in re.findall(r"`((?:src|tests|tools|scripts|bench|fuzz|sim|docs|proto)/[\w./-]+)`",
                                     text):
                name = TOP / target
                self.assertTrue(name.exists() or list(name.parent.glob(name.name + "*")),
                                f"{file}: {target}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
