internal import Glibc
internal import Logging
internal import Systemd

/// Logs entries that are difficult to log.
enum ProbeLog {
    static func run() {
        var logger = Logger(label: "probe") { _ in JournalLogHandler(identifier: "systemd-probe") }
        logger.logLevel = .trace
        print("destination: \(LogDestination.detect())")
        logger[metadataKey: "SLUICE_JOB"] = "17"
        logger.info(
            "job complete",
            metadata: ["MESSAGE_ID": "0123456789abcdef0123456789abcdef", "bytes": "42", "host": "a b"])
        logger.error("two lines", metadata: ["detail": "first\nsecond\u{0}third", "_PID": "1", "1": "digit"])
        logger.critical("long", metadata: ["value": .string(String(repeating: "ü", count: 100_000))])
        for level in Logger.Level.allCases { logger.log(level: level, "level \(level.rawValue)") }
        logger.warning("the end", metadata: ["": "no name", "PRIORITY": "0", "MESSAGE": "forged"])
    }

    /// Logs far more than journald's queue holds, between two gates.
    ///
    /// - Parameter gates: two FIFOs: the flood begins when the first is opened for writing; when it is over the
    ///   second is opened for reading, and then a few more entries follow.
    static func flood(gates: [String]) {
        let logger = Logger(label: "probe") { _ in
            JournalLogHandler(
                identifier: "systemd-probe", droppedMessageID: "fedcba9876543210fedcba9876543210")
        }
        close(open(gates[0], O_RDONLY))
        for number in 0..<20_000 { logger.info("flood", metadata: ["number": "\(number)"]) }
        close(open(gates[1], O_RDONLY))
        for _ in 0..<100 {
            logger.info("after the flood")
            // The pause between two messages of a service while journald comes back.
            usleep(20_000)
        }
    }
}
