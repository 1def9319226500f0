import Testing

@testable import SluiceCore

@Suite("Dates of cookies (RFC 6265 §5.1.1)")
struct CookieDateTests {
    @Test(
        "the parts of a date may come in any order and in many forms",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("08:49:37 6 november 1994", 784_111_777),
            ("1994 is no day, 6 NOVember 8:49:37", 784_111_777), ("94/nov/06/8:49:37", nil),
            ("06/nov/94/8:49:37", 784_111_777), ("6th nov 1994 08:49:37.5 PST", 784_111_777),
            ("Thu, 01-Jan-1970 00:00:00 GMT", 0), ("Thu, 01 Jan 70 00:00:00", 0),
            ("1 jan 69 0:0:0", 3_124_224_000),
            ("31 Dec 9999 23:59:59", 253_402_300_799), ("29 feb 2000 0:0:0", 951_782_400),
            ("1 Jan 1601 00:00:00", -11_644_473_600), ("1 mar 2100 00:00:00", 4_107_542_400),
            ("06 Nov 1994 08:49:37 1995 dec 7 09:00:00", 784_111_777),
        ] as [(String, Int?)])
    func readsPartsInAnyOrder(_ text: String, _ seconds: Int?) {
        #expect(CookieDate.parse(text.utf8) == seconds)
    }

    @Test(
        "text that is not a valid date is rejected",
        arguments: [
            "", "soon", "0", "6 nov 1994", "08:49:37 nov 1994", "6 08:49:37 1994", "6 nov 08:49:37",
            "0 nov 1994 08:49:37", "31 nov 1994 08:49:37", "29 feb 1900 0:0:0", "29 feb 2001 0:0:0",
            "6 nov 1600 08:49:37", "6 nov 100 08:49:37", "6 nov 1994 24:00:00", "6 nov 1994 00:60:00",
            "6 nov 1994 00:00:60", "6 nov 12345 00:00:00", "6 no 1994 00:00:00", "6 nov 1994 000:00:00",
            "6 nov 1994 00:00", "6 nov 1994 00:00:000", "-6\u{301} nov",
        ])
    func rejectsInvalidDates(_ text: String) {
        #expect(CookieDate.parse(text.utf8) == nil)
    }

    @Test("years and leap days follow the calendar", arguments: 1601...2400)
    func followsTheCalendar(_ year: Int) throws {
        let first = try #require(CookieDate.parse("1 jan \(year) 0:0:0".utf8))
        let last = try #require(CookieDate.parse("31 dec \(year) 0:0:0".utf8))
        let next = try #require(CookieDate.parse("1 jan \(year + 1) 0:0:0".utf8))
        let isLeap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0
        #expect(next - first == (isLeap ? 366 : 365) * 86_400 && next - last == 86_400)
        #expect((CookieDate.parse("29 feb \(year) 0:0:0".utf8) != nil) == isLeap)
    }
}
