// Certifies the Varlink module against other implementations, as service or as client.
internal import EventLoop
internal import Glibc
internal import Unix
internal import Varlink

func complain(_ sentence: String) {
    let line = Array("varlink-certification: \(sentence)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}

do {
    switch CommandLine.arguments.dropFirst().map({ $0 }) {
    case let arguments where arguments.count == 2 && arguments[0] == "--client":
        try CertificationClient.run(VarlinkClient(connectedTo: arguments[1]), deadline: 10_000)
        print("Certification passed")
    case let arguments where arguments.count == 1:
        let loop = try EventLoop()
        let service = try CertificationService(loop: loop)
        try service.listen(on: UnixSocket.listen(path: arguments[0], mode: 0o600))
        // Runs until a signal ends the process.
        loop.run()
        withExtendedLifetime(service) {}
    default:
        complain("usage: varlink-certification [--client] PATH")
        exit(2)
    }
} catch {
    complain("\(error)")
    exit(1)
}
