"""What the figures are made by."""

from __future__ import annotations

import math
import unittest

from ..arithmetic import paired_ratio, percentile, spread, wakeups, worsening


class Arithmetic(unittest.TestCase):
    def test_a_percentile_is_a_value_that_was_measured(self) -> None:
        values = [5.0, 1.0, 4.0, 2.0, 3.0]
        self.assertEqual(percentile(values, 0.5), 3)
        self.assertEqual(percentile(values, 0.99), 5)
        self.assertEqual(percentile(values, 0), 1)
        self.assertEqual(percentile([float(number) for number in range(1, 201)], 0.99), 198)

    def test_there_is_no_percentile_of_nothing(self) -> None:
        with self.assertRaises(ValueError):
            percentile([], 0.5)
        with self.assertRaises(ValueError):
            percentile([1.0], 99)

    def test_a_ratio_is_that_of_a_round_so_a_slow_round_does_not_count(self) -> None:
        # The machine was three times as slow in the second round, for both.
        self.assertEqual(paired_ratio([2.0, 6.0, 2.0], [1.0, 3.0, 1.0]), 2)

    def test_rounds_have_to_pair(self) -> None:
        with self.assertRaises(ValueError):
            paired_ratio([1.0], [1.0, 2.0])
        with self.assertRaises(ValueError):
            paired_ratio([], [])

    def test_the_spread_is_a_share_of_the_median(self) -> None:
        self.assertEqual(spread([9.0, 10.0, 12.0]), 0.3)
        self.assertEqual(spread([0.0, 0.0]), 0)

    def test_worse_is_more_or_less(self) -> None:
        self.assertAlmostEqual(worsening(0.8, 1.0, True), 0.2)
        self.assertAlmostEqual(worsening(1.2, 1.0, True), -0.2)
        self.assertAlmostEqual(worsening(1.2, 1.0, False), 0.2)
        self.assertEqual(worsening(0.0, 0.0, False), 0)
        self.assertEqual(worsening(0.1, 0.0, False), math.inf)

    def test_wakeups_are_those_of_threads_that_stay_and_one_for_each_that_comes_or_goes(self) -> None:
        self.assertEqual(wakeups({1: 10, 2: 5}, {1: 13, 2: 5}), 3)
        self.assertEqual(wakeups({1: 10, 2: 500}, {1: 10, 3: 70}), 2)


if __name__ == "__main__":
    unittest.main()
