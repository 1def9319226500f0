internal import SystemPackage
internal import Systemd

/// Says everything a notifier can say, once.
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
}
