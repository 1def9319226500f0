"""python3 -m unittest discover -s tools/tests"""

import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import run_tests

A, B = "M.S/a()/S.swift:1:2", "M.S/b(_:)/S.swift:3:4"


def event(kind, test=None, **more):
    return {"kind": "event", "payload": {"kind": kind, "testID": test, **more}}


def issue(test, text="expected", **more):
    place = {"fileID": "M/S.swift", "line": 7}
    return event(
        "issueRecorded", test, issue={"isKnown": False, "sourceLocation": place, **more},
        messages=[{"symbol": "fail", "text": text}])


def stream(*events, tests=(A, B), ended=True):
    records = [{"kind": "test", "payload": {"kind": "suite", "id": "M.S"}}]
    records += [{"kind": "test", "payload": {"kind": "function", "id": test}} for test in tests]
    records += [event("testStarted", "M.S"), *events]
    records += [event("testEnded", "M.S"), event("runEnded")] if ended else []
    return run_tests.Run(json.dumps(record) + "\n" for record in records)


def whole(test, *issues):
    return [event("testStarted", test), *issues, event("testEnded", test)]


class Judging(unittest.TestCase):
    def again(self, *results):
        """Runs that give these results, one after the other: True where the test passes."""
        results = list(results)

        def again(test):
            self.asked.append(test)
            passes = results.pop(0)
            issues = [] if passes else [issue(test)]
            return 0 if passes else 1, stream(*whole(test, *issues), tests=(test,))

        self.asked = []
        return again

    def test_passed(self):
        self.assertEqual(run_tests.judge(0, stream(*whole(A)), 2, self.again()), (True, {}, []))

    def test_strict(self):
        passed, flaky, _ = run_tests.judge(1, stream(*whole(A, issue(A))), 0, self.again())
        self.assertEqual((passed, flaky, self.asked), (False, {}, []))

    def test_flaky_with_its_first_failure(self):
        first = stream(*whole(A, issue(A, "once"), issue(A, "twice")), *whole(B))
        passed, flaky, _ = run_tests.judge(1, first, 2, self.again(False, True))
        self.assertTrue(passed)
        self.assertEqual(flaky, {A: ["M/S.swift:7: once", "M/S.swift:7: twice"]})
        self.assertEqual(self.asked, [A, A])
        self.assertEqual(run_tests.flaky_text(flaky).splitlines()[0], "flaky: M.S/a()")

    def test_one_that_fails_each_time_fails_the_run(self):
        first = stream(*whole(A, issue(A)), *whole(B, issue(B)))
        passed, flaky, words = run_tests.judge(1, first, 2, self.again(False, False, True))
        self.assertFalse(passed)
        self.assertEqual(list(flaky), [B])
        self.assertEqual(words, ["failed 3 times: M.S/a()"])

    def test_a_run_that_did_not_run_the_test_is_no_pass(self):
        first = stream(*whole(A, issue(A)))
        passed, _, _ = run_tests.judge(1, first, 1, lambda test: (0, stream(tests=())))
        self.assertFalse(passed)

    def test_a_crash_is_strict_and_names_the_tests(self):
        first = stream(event("testStarted", A), *whole(B, issue(B)), ended=False)
        passed, _, words = run_tests.judge(1, first, 2, self.again())
        self.assertFalse(passed)
        self.assertEqual(words[1:], ["  M.S/a()"])

    def test_a_failure_outside_of_tests_is_strict(self):
        for first in (stream(*whole(A), issue("M.S")), stream(*whole(A))):
            self.assertFalse(run_tests.judge(1, first, 2, self.again())[0])

    def test_too_many(self):
        tests = [f"M.S/t{number}()/S.swift:{number}:1" for number in range(run_tests.MOST + 1)]
        first = stream(*(record for test in tests for record in whole(test, issue(test))), tests=tests)
        self.assertFalse(run_tests.judge(1, first, 2, self.again())[0])
        self.assertEqual(self.asked, [])


class Reading(unittest.TestCase):
    def test_known_issues_and_warnings_are_no_failures(self):
        run = stream(*whole(A, issue(A, isKnown=True), issue(A, isFailure=False)))
        self.assertEqual(run.failed, [])
        self.assertTrue(run.passed(A))

    def test_half_a_line(self):
        run = run_tests.Run(['{"kind":"test","payload":{"kind":"function","id":"%s"}}\n' % A, '{"kind":"ev'])
        self.assertEqual((run.functions, run.is_complete), ({A}, False))

    def test_filter_takes_one_test(self):
        for test in (A, B, "M.S/`a name: of (some) [words] & ünicode, a-b`()/S.swift:1:2"):
            self.assertTrue(re.search(run_tests.exact(test), test))
        self.assertFalse(re.search(run_tests.exact(A), "M.S/ab()/S.swift:1:2"))
        self.assertFalse(re.search(run_tests.exact(A), A + "0"))

    def test_filters_of_the_command_go(self):
        self.assertEqual(
            run_tests.without_filter(["swift", "test", "--filter", "X", "-q"]), ["swift", "test", "-q"])


if __name__ == "__main__":
    unittest.main()
