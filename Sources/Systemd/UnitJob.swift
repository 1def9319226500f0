internal import CSystemd
internal import Glibc
internal import Unix

/// What the service manager is about to do with this service: the job of its unit (`systemd.unit(5)`).
///
/// SIGTERM alone does not say whether the service must end or make room for its successor. The job that the signal is
/// a part of does.
public enum UnitJob: Sendable, Equatable {
    /// `systemctl restart` and its like: the next process follows at once and gets the descriptors in the store.
    case restart
    /// `systemctl stop`, a shutdown, a conflict: the service must end, and its store ends with it.
    case stop
    /// The manager has no job for this service: the signal came from another process (`systemctl kill`), or from a
    /// time limit of the unit itself. Whether a restart follows depends on how the process ends and on Restart=.
    case noJob
    /// The manager could not be asked, or did not answer in time.
    case unknown

    /// Asks the manager that runs this process, over D-Bus: over the system bus, or else the manager's own socket,
    /// which the system manager opens for root alone; for a user's service over the manager's own socket, or else the
    /// user bus.
    ///
    /// Waits for the answers, usually some milliseconds and never longer than `timeout`. Ask after the signal has
    /// arrived: the job exists from before the signal is sent until the process is gone.
    public static func current(timeout: Duration = .seconds(1)) -> UnitJob {
        let deadline = ContinuousClock.now + timeout
        for address in addresses() {
            guard let bus = ManagerBus.connect(address, until: deadline) else { continue }
            if let job = bus.jobType(of: getpid()) { return UnitJob(jobType: job) }
        }
        return .unknown
    }

    /// Creates a value from systemd's name of the job type; empty where there is no job.
    init(jobType: String) {
        switch jobType {
        case "": self = .noJob
        case "restart", "try-restart": self = .restart
        case "stop": self = .stop
        // A start or a reload in progress does not end the service.
        default: self = .noJob
        }
    }

    /// The addresses to try, the likeliest first.
    private static func addresses() -> [ManagerBus.Address] {
        // The call succeeds where a user's own manager runs this process.
        var unit: UnsafeMutablePointer<CChar>?
        let isUsers = sd_pid_get_user_unit(0, &unit) >= 0
        free(unit)
        guard isUsers else { return [.systemBus, .direct("/run/systemd/private")] }
        guard let directory = getenv("XDG_RUNTIME_DIR") else { return [.userBus] }
        return [.direct(String(cString: directory) + "/systemd/private"), .userBus]
    }
}

/// A connection to a service manager with a deadline: every call returns by then, whatever the manager does.
///
/// Confined to the thread that makes it.
private struct ManagerBus: ~Copyable {
    enum Address {
        case systemBus
        case userBus
        /// The manager itself, without a bus in between.
        case direct(String)
    }

    private let bus: OpaquePointer
    private let deadline: ContinuousClock.Instant

    private static let manager = "org.freedesktop.systemd1"

    private init(_ bus: OpaquePointer, until deadline: ContinuousClock.Instant) {
        self.bus = bus
        self.deadline = deadline
    }

    deinit { sd_bus_close_unref(bus) }

    /// Connects; nil where no manager listens, or none answers in time.
    static func connect(_ address: Address, until deadline: ContinuousClock.Instant) -> ManagerBus? {
        var opened: OpaquePointer?
        let result =
            switch address {
            case .systemBus: sd_bus_open_system(&opened)
            case .userBus: sd_bus_open_user(&opened)
            case .direct(let path): open(path, &opened)
            }
        guard result >= 0, let opened else { return nil }
        let bus = ManagerBus(opened, until: deadline)
        // sd_bus_call would wait for this without a limit.
        guard bus.isReady() else { return nil }
        return bus
    }

    /// The type of the job of the unit that a process belongs to: empty where there is none, nil where the manager
    /// does not tell.
    func jobType(of process: pid_t) -> String? {
        guard let unit = unit(of: process), let job = job(of: unit) else { return nil }
        // Number 0 means that there is no job.
        if job.number == 0 { return "" }
        return property("JobType", "s", of: job.path, interface: "Job").flatMap { reply in
            text(reply.message, "s")
        }
    }

    private func unit(of process: pid_t) -> String? {
        var call: OpaquePointer?
        defer { sd_bus_message_unref(call) }
        var number = UInt32(bitPattern: process)
        guard
            sd_bus_message_new_method_call(
                bus, &call, Self.manager, "/org/freedesktop/systemd1", Self.manager + ".Manager",
                "GetUnitByPID") >= 0,
            sd_bus_message_append_basic(call, CChar(UInt8(ascii: "u")), &number) >= 0
        else { return nil }
        return send(call).flatMap { reply in text(reply.message, "o") }
    }

    private func job(of unit: String) -> (number: UInt32, path: String)? {
        guard let reply = property("Job", "(uo)", of: unit, interface: "Unit") else { return nil }
        var number: UInt32 = 0
        guard
            sd_bus_message_enter_container(reply.message, CChar(UInt8(ascii: "r")), "uo") > 0,
            sd_bus_message_read_basic(reply.message, CChar(UInt8(ascii: "u")), &number) > 0,
            let path = text(reply.message, "o")
        else { return nil }
        return (number, path)
    }

    /// A reply whose read position is at the beginning of a property's value.
    private func property(_ name: String, _ type: String, of path: String, interface: String) -> Reply? {
        var call: OpaquePointer?
        defer { sd_bus_message_unref(call) }
        guard
            sd_bus_message_new_method_call(
                bus, &call, Self.manager, path, "org.freedesktop.DBus.Properties", "Get") >= 0
        else { return nil }
        for argument in [Self.manager + "." + interface, name] {
            guard append(argument, to: call) else { return nil }
        }
        guard let reply = send(call),
            sd_bus_message_enter_container(reply.message, CChar(UInt8(ascii: "v")), type) > 0
        else { return nil }
        return reply
    }

    private func append(_ text: String, to call: OpaquePointer?) -> Bool {
        text.withCString { sd_bus_message_append_basic(call, CChar(UInt8(ascii: "s")), $0) >= 0 }
    }

    /// Owns a reply and releases it with the last reference.
    private final class Reply {
        let message: OpaquePointer
        init(_ message: OpaquePointer) { self.message = message }
        deinit { sd_bus_message_unref(message) }
    }

    private func send(_ call: OpaquePointer?) -> Reply? {
        guard let left = microsecondsLeft() else { return nil }
        var reply: OpaquePointer?
        guard sd_bus_call(bus, call, left, nil, &reply) >= 0, let reply else { return nil }
        return Reply(reply)
    }

    /// A string or an object path.
    private func text(_ message: OpaquePointer, _ type: Unicode.Scalar) -> String? {
        var found: UnsafePointer<CChar>?
        guard sd_bus_message_read_basic(message, CChar(truncatingIfNeeded: type.value), &found) > 0, let found
        else {
            return nil
        }
        return String(cString: found)
    }

    /// Runs the connection until it is ready for calls.
    private func isReady() -> Bool {
        while true {
            let ready = sd_bus_is_ready(bus)
            if ready != 0 { return ready > 0 }
            let processed = sd_bus_process(bus, nil)
            if processed < 0 { return false }
            if processed > 0 { continue }
            guard let left = microsecondsLeft() else { return false }
            let waited = sd_bus_wait(bus, left)
            if waited < 0, waited != -EINTR { return false }
        }
    }

    /// nil once the deadline has passed: sd-bus takes 0 for its default timeout.
    private func microsecondsLeft() -> UInt64? {
        let left = ContinuousClock.now.duration(to: deadline).wholeMicroseconds
        return left > 0 ? UInt64(left) : nil
    }

    private static func open(_ path: String, _ opened: inout OpaquePointer?) -> CInt {
        var bus: OpaquePointer?
        var result = sd_bus_new(&bus)
        if result >= 0 { result = sd_bus_set_address(bus, "unix:path=" + path) }
        if result >= 0 { result = sd_bus_start(bus) }
        guard result >= 0 else {
            sd_bus_close_unref(bus)
            return result
        }
        opened = bus
        return result
    }
}
