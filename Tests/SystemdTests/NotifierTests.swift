import SystemPackage
import TestKit
import Testing
import Unix

@testable import Systemd

@Suite("What the service manager is told")
struct NotifierTests {
    @Test("each message arrives in the format of sd_notify(3), and a status is sent only when it is new")
    func messagesFollowSdNotify() throws {
        let manager = try DatagramSocket()
        let result = try Probe.run(
            ["notify"], environment: ["NOTIFY_SOCKET=\(manager.path)", "WATCHDOG_USEC=2000000"])
        #expect(result.exit == .exited(0), "\(result.errors)")
        #expect(
            result.lines == [
                "under systemd: true", "watchdog: 2.0 seconds", "sent", "notNeeded", "sent", "notNeeded",
                "notNeeded",
            ])
        let messages = manager.messages()
        try #require(messages.count == 8)
        #expect(messages[0] == "READY=1\nSTATUS=one two")
        #expect(messages[1] == "STATUS=three")
        let reloading = messages[2].split(separator: "\n")
        #expect(reloading.count == 3)
        #expect(reloading.first == "RELOADING=1")
        #expect(reloading.contains { $0.wholeMatch(of: /MONOTONIC_USEC=[1-9][0-9]*/) != nil })
        #expect(reloading.last == "STATUS=reading")
        #expect(messages[3] == "WATCHDOG=1")
        #expect(messages[4] == "MAINPID=42")
        #expect(messages[5] == "EXTEND_TIMEOUT_USEC=1500000")
        #expect(messages[6] == "ERRNO=28\nSTATUS=no room")
        #expect(messages[7] == "STOPPING=1")
    }

    @Test(
        "descriptors go into the store in one message, under a short name, and sending a barrier does not wait"
    )
    func storesDescriptorsInOneMessage() throws {
        let manager = try DatagramSocket()
        var environment = Program.inheritedEnvironment()
        environment["NOTIFY_SOCKET"] = manager.path
        let probe = try Program(Probe.path, ["notify-store"], environment: environment)
        let invalid = "failed(\(Errno.invalidArgument))"
        for line in ["sent", "sent"] + [String](repeating: invalid, count: 9) + ["pending, hang-up: false"] {
            #expect(try probe.line() == line)
        }
        let stored = try manager.receive()
        #expect(stored.text == "FDSTORE=1\nFDNAME=a7")
        #expect(stored.kinds == [.pipeWriteEnd, .counterPage])
        let removed = try manager.receive()
        #expect(removed.text == "FDSTOREREMOVE=1\nFDNAME=a7")
        #expect(removed.kinds == [])
        let barrier = try manager.receive()
        #expect(barrier.text == "BARRIER=1")
        #expect(barrier.kinds == [.pipeWriteEnd])
        #expect(try probe.line() == "hang-up later: true")
        #expect(try probe.wait().exit == .exited(0))
        #expect(manager.messages() == [])
    }

    @Test("without a service manager nothing is stored, and there is nothing to wait for")
    func storesNothingWithoutManager() throws {
        let lines = try Probe.run(["notify-store"]).lines
        #expect(lines.prefix(2) == ["notNeeded", "notNeeded"])
        #expect(lines.last == "notNeeded")
    }

    @Test("without a service manager nothing is sent, and nothing fails")
    func sendsNothingWithoutManager() throws {
        let result = try Probe.run(["notify"])
        #expect(result.exit == .exited(0))
        #expect(result.lines.prefix(3) == ["under systemd: false", "watchdog: off", "notNeeded"])
    }

    @Test("a service manager that has gone is reported as a failure and does not crash the program")
    func reportsManagerThatHasGone() throws {
        let result = try Probe.run(["notify"], environment: ["NOTIFY_SOCKET=/nonexistent/notify"])
        #expect(result.exit == .exited(0))
        #expect(result.lines[2].hasPrefix("failed("))
    }

    @Test("a watchdog that is meant for another process is ignored")
    func ignoresOtherProcessesWatchdog() throws {
        let result = try Probe.run(
            ["notify"], environment: ["WATCHDOG_USEC=2000000", "WATCHDOG_PID=1"])
        #expect(result.lines[1] == "watchdog: off")
    }

    @Test(
        "a status is one line",
        arguments: [
            ("plain", "plain"), ("a\nWATCHDOG=1", "a WATCHDOG=1"), ("a\r\nb", "a  b"),
            ("\u{1B}[31m", " [31m"),
            ("\u{2028}x", " x"), ("Grüße", "Grüße"), ("", ""),
        ])
    func statusIsOneLine(text: String, line: String) {
        #expect(Notifier.statusLine(text) == line)
    }

    @Test("a long status is cut between two characters")
    func longStatusIsCut() {
        let line = Notifier.statusLine("x" + String(repeating: "ü", count: 1000))
        #expect(line.utf8.count == 255)
        #expect(line.last == "ü")
    }

    @Test(
        "times become whole microseconds, rounded up",
        arguments: [
            (Duration.seconds(2), Int64(2_000_000)), (.nanoseconds(1), 1), (.zero, 0), (.seconds(-1), 0),
            (.seconds(Int64.max), .max),
        ])
    func roundsUpToMicroseconds(time: Duration, expected: Int64) {
        #expect(time.wholeMicroseconds == expected)
    }
}

@Suite("How often the status is sent")
struct StatusThrottleTests {
    let start = ContinuousClock.now

    @Test("the first line is sent at once, the next after a second, and the last of a burst is never lost")
    func sendsFirstAndLastOfBurst() {
        var throttle = StatusThrottle()
        #expect(throttle.update("a", at: start) == .send("a"))
        let second = start + .seconds(1)
        #expect(throttle.update("b", at: start + .milliseconds(10)) == .wait(until: second))
        #expect(throttle.update("c", at: start + .milliseconds(20)) == .nothing)
        #expect(throttle.timerFired(at: second) == .send("c"))
        #expect(throttle.timerFired(at: second) == .nothing)
    }

    @Test("the same line again is not sent, however late")
    func doesNotRepeatSameLine() {
        var throttle = StatusThrottle()
        _ = throttle.update("a", at: start)
        #expect(throttle.update("a", at: start + .milliseconds(1)) == .nothing)
        #expect(throttle.update("a", at: start + .seconds(60)) == .nothing)
        #expect(throttle.update("b", at: start + .seconds(61)) == .send("b"))
    }

    @Test("a change that is undone within a second is not sent")
    func undoneChangeIsNotSent() {
        var throttle = StatusThrottle()
        _ = throttle.update("a", at: start)
        #expect(throttle.update("b", at: start + .milliseconds(1)) == .wait(until: start + .seconds(1)))
        #expect(throttle.update("a", at: start + .milliseconds(2)) == .nothing)
        #expect(throttle.timerFired(at: start + .seconds(1)) == .nothing)
        #expect(throttle.update("b", at: start + .milliseconds(1500)) == .send("b"))
    }

    @Test("a timer that fires early is set again; one that fires after a newer line was sent does nothing")
    func earlyTimerWaitsAgain() {
        var throttle = StatusThrottle()
        _ = throttle.update("a", at: start)
        _ = throttle.update("b", at: start)
        #expect(throttle.timerFired(at: start + .milliseconds(999)) == .wait(until: start + .seconds(1)))
        #expect(throttle.update("c", at: start + .seconds(2)) == .send("c"))
        #expect(throttle.timerFired(at: start + .seconds(2)) == .nothing)
    }
}
