internal import Logging
internal import Systemd

/// Logs what is hard to log.
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
}
