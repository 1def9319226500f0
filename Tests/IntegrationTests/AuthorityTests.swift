import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// The service reads the certificates of the authorities once, where libcurl would read them for each connection.
    @Suite("The authorities that vouch for origins", .enabled(if: Trust.isAvailable))
    struct Authorities {
        private static let pattern = Pattern(seed: 73)

        /// Two origins, so that none of their connections is used for the other, and a service whose bundle can be changed.
        private struct Place {
            let origins: [Nginx]
            let urls: [String]
            let service: TestService
            private let directory: TemporaryDirectory

            init(_ authority: TestCA, bundle: String, nursery: String = "always") throws {
                var options = NginxOptions()
                options.certificate = authority[.good]
                origins = [try Nginx(options), try Nginx(options)]
                urls = try origins.map { $0.tlsURL(try $0.serve("file", Authorities.pattern, count: 1000)) }
                directory = try TemporaryDirectory()
                var service = TestService.Options()
                service.settings = "lanes.minimum = 1\nlanes.maximum = 1\nlanes.nursery = \"\(nursery)\"\n"
                service.replacing = (try directory.write(bundle, to: "bundle"), Trust.systemBundle)
                self.service = try TestService(service)
            }

            /// Writes the same file, since it is mounted.
            func change(_ bundle: String) throws { try directory.write(bundle, to: "bundle") }

            func succeeds(_ origin: Int) throws {
                try service.fetch(urls[origin], expecting: Authorities.pattern).finishComplete(1000)
            }

            @discardableResult
            func fails(_ origin: Int, _ code: OutcomeCode) throws -> Job {
                try service.fetch(urls[origin], expecting: Authorities.pattern).finish(
                    failing: code, delivered: 0)
            }
        }

        @Test(
            "one that is added to the file is trusted from the next connection on, by a lane that has read the file before",
            arguments: ["always", "never"])
        func addedOneIsTrusted(nursery: String) throws {
            let (another, authority) = (try TestCA(), try TestCA())
            let other = try readText(another.certificate)
            let place = try Place(authority, bundle: other, nursery: nursery)
            for origin in 0...1 { try place.fails(origin, .tlsUntrusted) }
            let lanes = try Processes.lanes(of: place.service.processID)
            try place.change(other + readText(authority.certificate))
            for origin in 0...1 { try place.succeeds(origin) }
            #expect(try Processes.lanes(of: place.service.processID) == lanes)
        }

        @Test(
            "one that is removed from the file is not trusted from the next connection on, by a lane that has read it before",
            arguments: ["always", "never"])
        func removedOneIsNotTrusted(nursery: String) throws {
            let (another, authority) = (try TestCA(), try TestCA())
            let other = try readText(another.certificate)
            let place = try Place(authority, bundle: readText(authority.certificate), nursery: nursery)
            try place.succeeds(0)
            let lanes = try Processes.lanes(of: place.service.processID)
            try place.change(other)
            for _ in 0..<2 { try place.fails(1, .tlsUntrusted) }
            #expect(try Processes.lanes(of: place.service.processID) == lanes)
        }

        @Test(
            "with an empty or damaged file no origin is trusted, and the outcome says why",
            arguments: ["", "nothing\n"])
        func damagedFileIsNotTrusted(contents: String) throws {
            let authority = try TestCA()
            let good = try readText(authority.certificate)
            let place = try Place(authority, bundle: contents)
            for _ in 0..<2 {
                let job = try place.fails(0, .tlsFailed)
                #expect(job.outcome?.message.contains("authorities") == true, "\(job)")
            }
            try place.change(good)
            try place.succeeds(0)
            try place.change(contents)
            try place.fails(1, .tlsFailed)
        }
    }
}
