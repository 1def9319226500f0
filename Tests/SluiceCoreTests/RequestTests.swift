import SluiceCore
import SluiceInterface
import Testing

@Suite("What may be asked for")
struct RequestTests {
    @Test(
        "a URL is sent with a path and without a fragment, and its origin has an explicit port",
        arguments: [
            ("http://host", "http://host/", "http://host:80"),
            ("HTTP://Host/", "http://Host/", "http://host:80"),
            ("https://host", "https://host/", "https://host:443"),
            ("https://host:8443/a?b#c", "https://host:8443/a?b", "https://host:8443"),
            ("http://host?q", "http://host/?q", "http://host:80"),
            ("http://host#f", "http://host/", "http://host:80"),
            ("http://host:/x", "http://host:/x", "http://host:80"),
            ("http://host:00080/", "http://host:00080/", "http://host:80"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/", "http://127.0.0.1:1"),
            ("http://xn--hst-sna/%20?%00", "http://xn--hst-sna/%20?%00", "http://xn--hst-sna:80"),
            ("http://host/a/../b", "http://host/a/../b", "http://host:80"),
        ])
    func normalisesURLs(_ text: String, _ sent: String, _ origin: String) throws {
        let url = try RequestURL(text)
        #expect(url.text == sent)
        #expect(url.origin.description == origin)
    }

    @Test(
        "the values of a query are redacted for logs",
        arguments: [
            ("http://h/p?a=1&b=2", "http://h/p?a=…&b=…"), ("http://h/p?token", "http://h/p?…"),
            ("http://h/p", "http://h/p"),
            ("http://h/p?", "http://h/p?"), ("http://h/p?a==b", "http://h/p?a=…"),
            ("http://h/p?x=1?y=2", "http://h/p?x=…"),
        ])
    func redactsQueryValues(_ text: String, _ shown: String) throws {
        #expect(try RequestURL(text).redacted == shown)
    }

    @Test("a URL of 8 KiB is accepted, and one byte more is refused")
    func limitsURLLength() throws {
        let prefix = "http://h/"
        let longest = prefix + String(repeating: "a", count: RequestURL.maximumLength - prefix.utf8.count)
        #expect(try RequestURL(longest).text == longest)
        #expect(throws: RequestError.self) { try RequestURL(longest + "a") }
    }

    @Test("an error quotes a long or strange value shortened, and on one line")
    func quotesValuesShortened() throws {
        let error = #expect(throws: RequestError.self) {
            try RequestURL("gopher\(String(repeating: "x", count: 500))://h/")
        }
        #expect((error?.reason.count ?? 0) < 120)
        #expect(error?.description.contains("\n") == false)
    }

    @Test("header fields are accepted up to the limits of their number and size")
    func acceptsHeadersUpToLimits() throws {
        let most = (0..<64).map { HeaderField(name: "X-\($0)", value: "v") }
        #expect(try RequestHeaders(most).fields == most)
        let largest = [
            HeaderField(name: "X", value: String(repeating: "a", count: RequestHeaders.maximumBytes - 1))
        ]
        #expect(try RequestHeaders(largest).fields == largest)
        #expect(try RequestHeaders([HeaderField(name: "!#$%&'*+-.^_`|~", value: "")]).fields.count == 1)
        #expect(try RequestHeaders([HeaderField(name: "X", value: "a\tb \"~")]).fields.count == 1)
    }

    @Test("omitted values come from the settings")
    func takesDefaultsFromSettings() throws {
        var settings = Settings()
        settings.timeouts = Timeouts(
            connect: 1, head: 4, silence: 2, deadline: 3, minimumSpeed: 5)
        settings.limits.maximumSize = 1000
        let request = try JobRequest(Ingest.FetchParameters(url: "http://h/"), settings: settings)
        #expect(request.marks.high == settings.gate.highWatermark)
        #expect(request.marks.low == settings.gate.lowWatermark)
        #expect(request.timeouts == settings.timeouts)
        #expect(request.maximumSize == 1000)
    }

    @Test("a job may lower the service's size limit, but not raise it")
    func lowersButNeverRaisesSize() throws {
        var settings = Settings()
        settings.limits.maximumSize = 1000
        var parameters = Ingest.FetchParameters(url: "http://h/")
        parameters.maximumSize = 10
        #expect(try JobRequest(parameters, settings: settings).maximumSize == 10)
        parameters.maximumSize = 5000
        #expect(try JobRequest(parameters, settings: settings).maximumSize == 1000)
        settings.limits.maximumSize = nil
        #expect(try JobRequest(parameters, settings: settings).maximumSize == 5000)
        parameters.maximumSize = 0
        #expect(try JobRequest(parameters, settings: settings).maximumSize == 0)
    }

    @Test("a job that lowers only the high mark gets a low mark below it")
    func lowMarkFollowsHighMark() throws {
        var parameters = Ingest.FetchParameters(url: "http://h/")
        for high in [1, 2, 1000, 256 << 10, (256 << 10) + 1, 1 << 20] {
            parameters.highWatermark = high
            let marks = try JobRequest(parameters, settings: Settings()).marks
            #expect(marks.high == high && marks.low < high)
        }
    }
}
