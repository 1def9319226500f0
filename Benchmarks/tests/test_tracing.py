"""What strace prints, read."""

from __future__ import annotations

import unittest

from ..processes import Failed
from ..tracing import parse, without_waiting

TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 68.85    0.004739           3      1392       327 splice
 31.15    0.001337           4       328           poll
  0.00    0.000000           0         2         1 openat
------ ----------- ----------- --------- --------- ------------------
100.00    0.006883           3      1722       328 total
"""


class Tracing(unittest.TestCase):
    def test_calls_are_counted_by_name_whether_they_failed_or_not(self) -> None:
        self.assertEqual(parse(TABLE), {"splice": 1392, "poll": 328, "openat": 2})

    def test_waiting_can_be_left_out(self) -> None:
        self.assertEqual(without_waiting(parse(TABLE)), 1394)

    def test_another_table_is_noticed(self) -> None:
        for table in ("", TABLE.replace("1722", "1723"), TABLE.replace("     328           poll", " 328 poll lines")):
            with self.assertRaises(Failed):
                parse(table)


if __name__ == "__main__":
    unittest.main()
