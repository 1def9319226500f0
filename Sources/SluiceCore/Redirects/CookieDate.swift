/// Dates in cookies (RFC 6265 §5.1.1): time, day, month and year are searched among the words, in any order.
enum CookieDate {
    private static let months = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    .map { Array($0.utf8) }

    /// The moment, in seconds since 1970; nil if the text is not a date.
    static func parse(_ text: some Collection<UInt8>) -> Int? {
        var time: (hour: Int, minute: Int, second: Int)?
        var day: Int?
        var month: Int?
        var year: Int?
        for word in text.split(whereSeparator: isDelimiter) {
            // The order of these tests is part of the rule: a word that is read as the day is not read as the year.
            if time == nil, let found = Self.time(word) {
                time = found
            } else if day == nil, let found = number(word, digits: 1...2) {
                day = found
            } else if month == nil, let found = Self.month(word) {
                month = found
            } else if year == nil, let found = number(word, digits: 2...4) {
                year = found
            }
        }
        guard let time, let day, let month, var year else { return nil }
        if (70...99).contains(year) { year += 1900 }
        if (0...69).contains(year) { year += 2000 }
        guard year >= 1601, time.hour <= 23, time.minute <= 59, time.second <= 59,
            (1...length(of: month, in: year)).contains(day)
        else { return nil }
        let seconds = time.hour * 3600 + time.minute * 60 + time.second
        return days(year: year, month: month, day: day) * 86_400 + seconds
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x09, 0x20...0x2f, 0x3b...0x40, 0x5b...0x60, 0x7b...0x7e: true
        default: false
        }
    }

    private static func time(_ word: some Collection<UInt8>) -> (Int, Int, Int)? {
        // The text behind the seconds is ignored; it may contain colons.
        let parts = word.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count <= 2, parts[1].count <= 2,
            let hour = Int(digits: parts[0], atMost: 99), let minute = Int(digits: parts[1], atMost: 99),
            let second = number(parts[2], digits: 1...2)
        else { return nil }
        return (hour, minute, second)
    }

    /// The number at the beginning of a word; nil if it has more digits than allowed.
    private static func number(_ word: some Collection<UInt8>, digits: ClosedRange<Int>) -> Int? {
        let number = word.prefix(digits.upperBound + 1).prefix(while: \.isDigit)
        return digits.contains(number.count) ? Int(digits: number, atMost: 9999) : nil
    }

    private static func month(_ word: some Collection<UInt8>) -> Int? {
        let name = word.prefix(3).map(\.lowercased)
        return months.firstIndex(of: name).map { $0 + 1 }
    }

    private static func length(of month: Int, in year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970 in the Gregorian calendar. Years begin in March here, so that the leap day is their last.
    private static func days(year: Int, month: Int, day: Int) -> Int {
        let year = month > 2 ? year : year - 1
        let month = month > 2 ? month - 3 : month + 9
        let leapDays = year / 4 - year / 100 + year / 400
        return 365 * year + leapDays + (153 * month + 2) / 5 + day - 1 - 719_468
    }
}
