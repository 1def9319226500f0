import SluiceCore
import Testing

@Suite("Dates in HTTP")
struct HTTPDateTests {
    @Test(
        "all three forms of RFC 9110 §5.6.7 name the same moment",
        arguments: [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        ])
    func readsAllThreeForms(_ text: String) {
        #expect(HTTPDate.parse(text) == 784_111_777)
    }

    @Test(
        "leap days, leap seconds, two-digit years and very early or late dates are read",
        arguments: [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000), ("Tue Feb 29 12:00:00 2000", 951_825_600),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
            // A leap second counts as the second before it.
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799),
            // Years of two digits belong to the last century from 69 on, as in POSIX.
            ("Wednesday, 01-Jan-69 00:00:00 GMT", -31_536_000),
            ("Sunday, 01-Jan-68 00:00:00 GMT", 3_092_601_600),
        ])
    func readsDatesAtTheEdges(_ text: String, _ seconds: Int) {
        #expect(HTTPDate.parse(text) == seconds)
    }

    @Test(
        "text that is not a valid date is rejected",
        arguments: [
            "", " ", "0", "-1", "120", "yesterday", "Sun", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT ,",
            "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 2025 00:00:00 GMT", "Wed, 29 Feb 2023 00:00:00 GMT",
            "Mon, 31-Apr-25 00:00:00 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 GMT\0", "Sun, 06 Nov 1994 08:49:37 GMT\0 or not", "\0",
            "Sun, 06 Nov 1994 08:49:37\u{a0}GMT", "Sün, 06 Nov 1994 08:49:37 GMT",
            "Sun,\n06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ])
    func rejectsInvalidDates(_ text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }
}
