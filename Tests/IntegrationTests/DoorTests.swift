import Glibc
import SluiceInterface
import TestKit
import Testing
import Varlink

extension Integration {
    /// What the interface refuses, and how it reports that.
    @Suite("The door")
    struct Door {
        /// The name and fields of the error that a call ends with.
        private func error(
            _ client: VarlinkClient, _ method: String, _ parameters: some Encodable
        ) throws -> (name: String, fields: JSONValue)? {
            do {
                _ = try client.callWithDescriptors(
                    "\(Ingest.interfaceName).\(method)", parameters, deadline: Deadline.ofCall)
                return nil
            } catch .error(let name, let fields) {
                return (name, fields)
            }
        }

        /// Expects that Fetch is refused because of this parameter, with a reason and a remedy.
        private func refuses(
            _ client: VarlinkClient, _ parameter: String, _ parameters: Ingest.FetchParameters,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let found = try error(client, "Fetch", parameters)
            #expect(
                found?.name == "io.sluice.Ingest.InvalidRequest",
                "\(parameters): \(String(describing: found))",
                sourceLocation: sourceLocation)
            #expect(
                found?.fields["parameter"]?.stringValue == parameter, "\(String(describing: found))",
                sourceLocation: sourceLocation)
            for field in ["reason", "remedy"] {
                #expect(
                    (found?.fields[field]?.stringValue ?? "").count > 3, "\(String(describing: found))",
                    sourceLocation: sourceLocation)
            }
        }

        static let badURLs = [
            "", "x", "example.com", "/path", "http", "http:", "http:/x", "http://", "http:///path",
            "http://:80/",
            "https://?q", "ftp://host/", "file:///etc/passwd", "HTTPX://host/", "://host/",
            "http://user@host/",
            "http://user:password@host/", "http://@host/", "http://host:0/", "http://host:65536/",
            "http://host:-1/", "http://host:8a/", "http://host:99999999999999999999/", "http://[::01]/",
            "http://[::1", "http://ho st/", "http://host/a b", "http://host/\r\nX: y", "http://host/\n",
            "http://host/\u{0}", "http://host/\t", "http://host/é", "http://hö st/", "http://127.1/",
            "http://host/%",
            "http://host/%4",
            "http://host/%zz", "http://host/\"", "http://host/<", "http://host/[", "http://host/\\",
            "http://ho%73t/",
            "http://host/\u{7f}", "http://\(String(repeating: "h", count: 254))/",
            "http://host/\(String(repeating: "a", count: 8192))", "http://host,other/", "http://ho$t/",
        ]

        @Test("an invalid URL is refused with the parameter's name, a reason and a remedy")
        func refusesInvalidURLs() throws {
            let service = try TestService()
            let client = try service.client()
            for url in Self.badURLs { try refuses(client, "url", Ingest.FetchParameters(url: url)) }
            #expect(try service.status().jobs == Ingest.JobCounts(), "a refused request became a job")
        }

        @Test("invalid header fields, and fields that the caller must not set, are refused")
        func refusesBadHeaderFields() throws {
            let service = try TestService()
            let client = try service.client()
            var bad = [
                ("X", "a\rb"), ("X", "a\nb"), ("X", "a\r\nHost: b"), ("X", "a\u{0}b"), ("X", "é"),
                ("X", "\u{7f}"),
                ("", "v"), ("a b", "v"), ("a:", "v"), ("a\n", "v"), ("é", "v"),
            ]
            bad += [
                "Host", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer",
                "Upgrade", "Proxy-Connection", "Proxy-Authorization", "Range", "If-Range", "Accept-Encoding",
                "Expect",
            ].map { ($0, "v") }
            for (name, value) in bad {
                var request = Ingest.FetchParameters(url: "http://127.0.0.1/")
                request.headers = [HeaderField(name: name, value: value)]
                try refuses(client, "headers", request)
            }
            var many = Ingest.FetchParameters(url: "http://127.0.0.1/")
            many.headers = (0..<65).map { HeaderField(name: "X-\($0)", value: "v") }
            try refuses(client, "headers", many)
            many.headers = [HeaderField(name: "X", value: String(repeating: "a", count: 17_000))]
            try refuses(client, "headers", many)
            many.headers = [HeaderField(name: "X-A", value: "1"), HeaderField(name: "x-a", value: "2")]
            try refuses(client, "headers", many)
        }

        @Test("watermarks, times and sizes out of range are refused by name")
        func refusesNumbersOutOfRange() throws {
            let service = try TestService(
                "gate.maximum_high_watermark = \"1M\"\ngate.high_watermark = \"1M\"")
            let client = try service.client()
            func refuses(_ parameter: String, _ change: (inout Ingest.FetchParameters) -> Void) throws {
                var request = Ingest.FetchParameters(url: "http://127.0.0.1/")
                change(&request)
                try self.refuses(client, parameter, request)
            }
            for high in [0, -1, Int.min, (1 << 20) + 1, Int.max] {
                try refuses("highWatermark") { $0.highWatermark = high }
            }
            for low in [-1, 1 << 20, Int.max, Int.min] {
                try refuses("lowWatermark") { $0.lowWatermark = low }
            }
            try refuses("lowWatermark") {
                $0.highWatermark = 1000
                $0.lowWatermark = 1000
            }
            for time in [0, -1, 0.0009, 31_536_001, 1e300] {
                try refuses("connectTimeoutSeconds") { $0.connectTimeoutSeconds = time }
                try refuses("silenceTimeoutSeconds") { $0.silenceTimeoutSeconds = time }
                try refuses("deadlineSeconds") { $0.deadlineSeconds = time }
            }
            try refuses("maximumSize") { $0.maximumSize = -1 }
        }

        @Test("calls that do not match the interface get Varlink's own errors, which name the field")
        func malformedCallsGetVarlinkErrors() throws {
            let service = try TestService()
            let calls: [(String, String, String)] = [
                ("io.sluice.Ingest.Nothing", "{}", "MethodNotFound"),
                ("io.sluice.Nothing.Fetch", "{}", "InterfaceNotFound"),
                ("io.sluice.Ingest.Fetch", "{}", "InvalidParameter:url"),
                ("io.sluice.Ingest.Fetch", "null", "InvalidParameter:url"),
                ("io.sluice.Ingest.Fetch", #"{"url":7}"#, "InvalidParameter:url"),
                ("io.sluice.Ingest.Fetch", #"{"url":null}"#, "InvalidParameter:url"),
                ("io.sluice.Ingest.Fetch", #"{"url":"http://h/","nothing":1}"#, "InvalidParameter:nothing"),
                (
                    "io.sluice.Ingest.Fetch", #"{"url":"http://h/","highWatermark":"x"}"#,
                    "InvalidParameter:highWatermark"
                ),
                (
                    "io.sluice.Ingest.Fetch", #"{"url":"http://h/","highWatermark":1.5}"#,
                    "InvalidParameter:highWatermark"
                ),
                ("io.sluice.Ingest.Fetch", #"{"url":"http://h/","headers":{}}"#, "InvalidParameter:headers"),
                (
                    "io.sluice.Ingest.Fetch", #"{"url":"http://h/","headers":[{"name":"a"}]}"#,
                    "InvalidParameter:headers.0.value"
                ),
                ("io.sluice.Ingest.Wait", "{}", "InvalidParameter:id"),
                ("io.sluice.Ingest.Show", #"{"id":[]}"#, "InvalidParameter:id"),
                ("io.sluice.Ingest.Watch", "{}", "ExpectedMore"),
            ]
            for (method, parameters, expected) in calls {
                var connection = try RawConnection(service)
                try connection.send(#"{"method":"\#(method)","parameters":\#(parameters)}"#)
                let reply = try connection.receive() ?? "closed"
                let parts = expected.split(separator: ":")
                #expect(
                    reply.contains("org.varlink.service.\(parts[0])"), "\(method) \(parameters): \(reply)")
                if parts.count > 1 { #expect(reply.contains("\"\(parts[1])\""), "\(parameters): \(reply)") }
                // The connection still works.
                try connection.send(#"{"method":"io.sluice.Ingest.List"}"#)
                #expect(try connection.receive()?.contains("\"jobs\"") == true)
            }
        }

        @Test(
            "omitted, null and empty parameters mean the same",
            arguments: ["", #","parameters":null"#, #","parameters":{}"#])
        func treatsEmptyParametersAlike(_ text: String) throws {
            let service = try TestService()
            var connection = try RawConnection(service)
            try connection.send(#"{"method":"io.sluice.Ingest.Status"\#(text)}"#)
            #expect(try connection.receive()?.contains("\"status\"") == true)
        }

        @Test("an invalid message ends its own connection with an error, and no other connection")
        func garbageEndsOnlyItsConnection() throws {
            let service = try TestService()
            let other = try service.client()
            let messages = [
                Array("hello\0".utf8), [0], Array("[]\0".utf8), Array("{}\0".utf8),
                Array("{\"method\":7}\0".utf8),
                Array(#"{"method":"io.sluice.Ingest.List","more":"yes"}"#.utf8) + [0], [0xff, 0xfe, 0],
                Array(repeating: UInt8(ascii: "["), count: 100_000) + [0],
                Array("GET / HTTP/1.1\r\n\r\n\0".utf8),
            ]
            for message in messages {
                var connection = try RawConnection(service)
                try connection.send(message)
                let reply = try connection.receive()
                #expect(
                    reply?.contains("org.varlink.service.InvalidParameter") ?? true,
                    "\(String(decoding: message.prefix(60), as: UTF8.self)): \(reply ?? "")")
                if reply != nil { #expect(try connection.receive() == nil, "still open") }
            }
            let status = try other.call(
                "io.sluice.Ingest.Status", as: Ingest.StatusReply.self, deadline: Deadline.ofCall)
            #expect(status.jobs == Ingest.JobCounts())
        }

        @Test("a message over the limit ends its connection with an error")
        func overlongMessageEndsItsConnection() throws {
            let service = try TestService()
            var connection = try RawConnection(service)
            let long = #"{"method":"io.sluice.Ingest.Fetch","parameters":{"url":"http://h/"#
            let filler = [UInt8](repeating: UInt8(ascii: "a"), count: 300 << 10)
            try connection.send(Array(long.utf8))
            try connection.send(filler)
            #expect(try connection.receive()?.contains("InvalidParameter") == true)
            #expect(try connection.receive() == nil)
            try eventually("the connection is forgotten") { try service.status().connections == 1 }
        }

        @Test("a client that never reads its replies is dropped, and other clients are not delayed")
        func dropsClientThatNeverReads() throws {
            let call =
                Array(
                    #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.sluice.Ingest"}}"#
                        .utf8) + [0]
            let calls = Array(repeatElement(call, count: 100).joined())
            try judge("an answer beside a client that never reads", takesLessThan: .seconds(1)) {
                let service = try TestService()
                let connection = try RawConnection(service)
                let before = try MemoryProbe(processID: service.processID).privateDirty
                var isOpen = true
                var slowest = Duration.zero
                for _ in 0..<40 where isOpen {
                    isOpen = try connection.send(calls, until: Deadline(exactly: .milliseconds(100)))
                    slowest = max(slowest, try elapsed { _ = try service.status() })
                }
                let growth = try MemoryProbe(processID: service.processID).privateDirty - before
                print(
                    "figure: a client that never reads: daemon grew by \(growth >> 10) KiB, others waited \(slowest)"
                )
                #expect(growth < 24 << 20)
                return slowest
            }
        }

        @Test("a watcher that never reads is dropped or skipped, and the jobs continue")
        func unreadWatchDelaysNoJob() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Pattern(), count: 1000) }
            let service = try TestService()
            let connection = try RawConnection(service)
            try connection.send(#"{"method":"io.sluice.Ingest.Watch","parameters":{},"more":true}"#)
            for _ in 0..<300 { try service.fetch(origin.url()).finishComplete(1000) }
            #expect(try service.status().jobs.complete == 300)
        }
    }
}
