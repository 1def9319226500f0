internal import Glibc
internal import SystemPackage
internal import Systemd
internal import Unix

/// Sends every message that a notifier can send, once.
enum ProbeNotify {
    static func run() {
        let notifier = Notifier()
        print("under systemd: \(Notifier.isUnderSystemd)")
        print("watchdog: \(Watchdog.interval.map { "\($0)" } ?? "off")")
        print(notifier.ready(status: "one\ntwo"))
        print(notifier.status("one two"))
        print(notifier.status("three"))
        print(notifier.status("three"))
        notifier.reloading(status: "reading")
        notifier.watchdog()
        notifier.mainPID(42)
        notifier.extendTimeout(by: .milliseconds(1500))
        notifier.failing(.noSpace, exitText: "no room")
        notifier.stopping()
        print(Notifier(isEnabled: false).ready())
    }

    /// Stores descriptors, and reports the outcome of each message.
    static func store() {
        let notifier = Notifier()
        do {
            let pipe = try Pipe()
            let page = try SharedCounters.makeFile(name: "page")
            let both = [pipe.writeEnd.rawValue, page.rawValue]
            say(notifier.store(name: "a7", descriptors: both))
            say(notifier.remove(name: "a7"))
            for name in ["", "abcde", "A", "a:b", "a\nb", "ä"] {
                say(notifier.store(name: name, descriptors: both))
            }
            say(notifier.store(name: "a7", descriptors: []))
            say(notifier.store(name: "a7", descriptors: [CInt](repeating: page.rawValue, count: 254)))
            say(notifier.remove(name: "a\nREADY=1"))
            switch notifier.barrier() {
            case .pending(let answer):
                var entry = pollfd(fd: answer.rawValue, events: 0, revents: 0)
                say("pending, hang-up: \(poll(&entry, 1, 0) == 1)")
                say("hang-up later: \(poll(&entry, 1, 10_000) == 1 && entry.revents == Int16(POLLHUP))")
            case .notNeeded: say("notNeeded")
            case .failed(let errno): say("failed \(errno)")
            }
        } catch {
            say("error: \(error)")
        }
    }

    /// Prints at once, so that a test can wait for it.
    private static func say(_ what: Any) {
        _ = try? FileDescriptor.standardOutput.writeAll("\(what)\n".utf8)
    }
}
