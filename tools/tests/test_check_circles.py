"""tools/check-circles --self-test: the script on made-up trees."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parent.parent / "check-circles"
# A/Upper.swift needs B; B/Lower.swift is what each test puts there.
UPPER = "struct Upper { let lower: Lower }"


class Circles(unittest.TestCase):
    def run_on(self, files, known="", *options):
        """Runs a copy of the script in a tree of its own: the status, the output, and what is wrong."""
        with tempfile.TemporaryDirectory() as root:
            for name, text in {"tools/check-circles.known": known, **files}.items():
                file = pathlib.Path(root, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            shutil.copy(SCRIPT, pathlib.Path(root, "tools"))
            done = subprocess.run([f"{root}/tools/check-circles", *options], capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr

    def lower(self, text, known="", *options, **more):
        files = {"Sources/M/A/Upper.swift": UPPER, "Sources/M/B/Lower.swift": f"struct Lower {{\n{text}\n}}\n"}
        return self.run_on(files | {f"Sources/M/{name}.swift": text for name, text in more.items()}, known, *options)

    def assert_circle(self, text, **more):
        self.assertIn("B/Lower.swift", self.lower(text, **more)[2], text)

    def assert_none(self, text, **more):
        self.assertEqual(self.lower(text, **more), (0, "", ""), text)

    def test_circle(self):
        status, output, wrong = self.lower("// here\nlet upper: Upper")
        self.assertEqual((status, output), (1, wrong.removeprefix("not known: ")))
        self.assertEqual(output, (
            "M: A, B need each other:\n"
            "  A -> B\n    Sources/M/A/Upper.swift:1 Lower\n"
            "  B -> A\n    Sources/M/B/Lower.swift:3 Upper\n"))

    def test_no_circle(self):
        self.assert_none("let number: Int")
        self.assert_none("let other: Lower.Inner\nstruct Inner {}")
        # Three levels, and another module with the same names.
        self.assertEqual(self.run_on({
            "Sources/M/Top.swift": "let upper = Upper()", "Sources/M/A/Upper.swift": UPPER,
            "Sources/M/B/Lower.swift": "struct Lower {}", "Sources/N/Top.swift": "struct Lower { let upper: Upper }",
        }), (0, "", ""))

    def test_longer_circle_and_top_level(self):
        files = {"Sources/M/Top.swift": "enum Top { case lower(Lower) }", "Sources/M/A/Upper.swift": UPPER}
        status, output, _ = self.run_on({**files, "Sources/M/B/Lower.swift": "struct Lower { func f() -> [Top]? {} }"})
        self.assertEqual((status, output.splitlines()[0]), (1, "M: ., B need each other:"))
        status, output, _ = self.run_on({
            "Sources/M/A/A.swift": "struct A { let b: B }", "Sources/M/B/B.swift": "struct B { let c: C }",
            "Sources/M/C/C.swift": "struct C { let a: A }"})
        self.assertEqual((status, output.splitlines()[0]), (1, "M: A, B, C need each other:"))

    def test_five_witnesses(self):
        more = {f"B/File{number}": "let upper: Upper" for number in range(7)}
        _, output, _ = self.lower("", **more)
        self.assertEqual(output.count(":1 Upper\n"), 5)
        self.assertIn("    and 2 more\n", output)

    def test_comments(self):
        self.assert_none("// Upper\n/* Upper /* nested */ Upper\n */ /// Upper")
        self.assert_circle("/* \" */ let upper: Upper // \"")

    def test_strings(self):
        self.assert_none(r'let text = "Upper \"Upper\" // \n Upper", more = #"Upper " \(Upper) Upper"#')
        self.assert_none('let text = """\n  Upper "Upper" \\(1 + (2)) Upper\n  """')
        self.assert_none('let text = #"""\n  Upper \\(Upper) """\n  Upper\n  """#')
        self.assert_circle(r'let text = "\\", upper: Upper')
        self.assert_circle('let text = "", upper: Upper')
        self.assert_circle('let text = """\n  "\n  """\nlet upper: Upper')

    def test_interpolation(self):
        self.assert_circle(r'let text = "a \(Upper()) b"')
        self.assert_circle(r'let text = #"a \#(Upper()) b"#')
        self.assert_circle('let text = """\n  a \\(one(two(1), "b \\(Upper.name)")) c\n  """')
        self.assert_none(r'let text = "a \(one("b \(two) Upper")) Upper"')

    def test_names(self):
        self.assert_none("let other = Other.Upper, imported = Imported.self\nimport struct Other.Upper")
        self.assert_circle("let upper: M.Upper")
        self.assert_circle("let all = 0..<Upper.count")
        # A nested type hides the other one in its own type, and nowhere else.
        self.assert_none("struct Upper {}\nlet upper: Upper")
        self.assert_circle("struct In { struct Upper {} }\nlet upper: Upper")

    def test_extensions(self):
        status, output, _ = self.lower("", **{"B/More": "extension Upper { struct Inner {} }"})
        self.assertEqual((status, output.splitlines()[-1]), (1, "    Sources/M/B/More.swift:1 Upper"))
        # What it nests is the type's: this is no need of B.
        self.assert_none("", **{"A/More": "extension Lower { struct Inner {} }\nlet inner: Lower.Inner"})

    def test_same_name_twice(self):
        self.assert_none("let mine: Upper", **{"B/Mine": "struct Upper {}"})
        self.assert_circle("let mine: Upper", **{"B/Mine": "private struct Upper {}"})
        self.assert_none("let which: Upper", **{"C/Other": "struct Upper {}"})

    def test_known(self):
        known = "# why\n\nM: B -> A: it is old\n"
        status, output, wrong = self.lower("let upper: Upper", known)
        self.assertEqual((status, wrong), (0, ""))
        self.assertIn("  B -> A (known)\n", output)
        # One that is known allows no other one.
        more = {"C/C": "struct C { let a: Upper }", "A/C": "let c: C"}
        status, _, wrong = self.lower("let upper: Upper", known, **more)
        self.assertEqual((status, wrong.splitlines()[0]), (1, "not known: M: A, C need each other:"))

    def test_stale(self):
        for known in ("M: B -> A: why", "M: A -> B: why", "N: A -> B: why", "M: B -> A", "M: B -> A:"):
            status, _, wrong = self.lower("", known)
            self.assertEqual((status, wrong.count("\n"), wrong.endswith(f": {known}\n")), (1, 1, True), known)
        # Two where one is enough.
        status, _, wrong = self.lower("let upper: Upper", "M: A -> B: why\nM: B -> A: why")
        self.assertEqual((status, wrong.count("\n")), (1, 2))

    def test_types(self):
        _, output, _ = self.lower("let upper: Upper", "", "--types")
        self.assertIn("M, types: Lower (B), Upper (A) need each other:\n", output)
        _, output, _ = self.lower("", "", "--types", **{"B/More": "let upper: Upper"})
        self.assertNotIn("types", output)
        _, output, _ = self.lower("let one: One", "", "--types", **{"B/One": "struct One { let lower: Lower }"})
        self.assertNotIn("types", output)  # of one folder


if __name__ == "__main__":
    unittest.main()
