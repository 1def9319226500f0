internal import CUnix
internal import Glibc
internal import SystemPackage
internal import Systemd
internal import Unix

/// A service that keeps descriptors in the service manager's store, as it is told.
///
/// `systemd-probe keeper FOLDER` writes what it found at its start to FOLDER/report. It reads commands from the FIFO
/// FOLDER/control, one per line, and writes its answer to each to FOLDER/answer.
enum ProbeKeeper {
    static func run(folder: String) {
        do {
            var keeper = Keeper()
            let found = Found.look()
            write(try found.report(keeper.take()), to: folder + "/report")
            Notifier().ready()
            guard let control = fopen(folder + "/control", "r+") else { throw Errno(rawValue: errno) }
            var buffer = [CChar](repeating: 0, count: 4096)
            while fgets(&buffer, CInt(buffer.count), control) != nil {
                let line = String(
                    decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
                write(try keeper.answer(words), to: folder + "/answer")
            }
        } catch {
            write("error: \(error)", to: folder + "/report")
            exit(1)
        }
    }

    /// Writes the file as a whole, so that a process that sees the file sees all of it.
    private static func write(_ text: String, to path: String) {
        guard let file = fopen(path + ".new", "w") else { exit(2) }
        fputs(text + "\n", file)
        fclose(file)
        rename(path + ".new", path)
    }
}

/// What was passed to the process, before any other code has used it.
private struct Found {
    private var count = 0
    private var inherited = 0
    /// The kinds in the order in which the manager passed them, by name.
    private var orders: [String: [DescriptorKind]] = [:]

    static func look() -> Found {
        var found = Found()
        guard let listen = getenv("LISTEN_FDS"), let count = Int(String(cString: listen)) else {
            return found
        }
        let names = getenv("LISTEN_FDNAMES").map { String(cString: $0) } ?? ""
        for (index, name) in names.split(separator: ":").enumerated() {
            let descriptor = CInt(3 + index)
            if fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0 { found.inherited += 1 }
            let borrowed = OwnedDescriptor(adopting: descriptor)
            found.orders[String(name), default: []].append(DescriptorKind(of: borrowed))
            _ = borrowed.release()
        }
        found.count = count
        return found
    }

    func report(_ groups: [String]) -> String {
        let orders = Set(orders.values.filter { $0.count == 4 }.map { "\($0)" })
        var lines = ["count \(count)", "not close-on-exec \(inherited)", "orders of four \(orders.count)"]
        if groups.count < 50 { lines += groups }
        return lines.joined(separator: "\n")
    }
}

private struct Keeper: ~Copyable {
    private let notifier = Notifier()
    /// Read ends of the pipes, by the names under which the write ends are stored.
    private var readers: [String: CInt] = [:]
    private var held: [CInt] = []

    /// Takes what came from the store. It stays open.
    mutating func take() throws -> [String] {
        var passed = try ListenDescriptors.take()
        var stored = passed.takeStored()
        var lines: [String] = []
        for name in stored.names {
            guard var group = stored.take(name) else { continue }
            var words = group.kinds.map { "\($0)" }.sorted()
            for kind in group.kinds {
                guard let one = group.take(kind) else { continue }
                if kind == .recordFile, let record = try RecordFile(adopting: one.duplicate()).read() {
                    words.append(String(decoding: record, as: UTF8.self))
                }
                held.append(one.release())
            }
            lines.append("\(name): " + words.joined(separator: " "))
        }
        return lines
    }

    mutating func answer(_ words: [String]) throws -> String {
        let count = words.count > 1 ? Int(words[1]) ?? 0 : 0
        switch words.first {
        case "store": return "\(try store(words[1], words.dropFirst(2)))"
        case "remove": return "\(notifier.remove(name: words[1]))"
        case "close":
            if let reader = readers.removeValue(forKey: words[1]) { close(reader) }
            return "closed"
        case "barrier": return try barrier()
        case "fill": return try fill(count, width: words.count > 2 ? Int(words[2]) ?? 0 : StoredName.longest)
        case "fill-and-die":
            _ = try fill(count, width: StoredName.longest)
            kill(getpid(), SIGKILL)
            return "still here"
        case "groups": return try groups(count)
        default: return "what?"
        }
    }

    /// Stores one descriptor of each kind in one message. A word that is not a kind is the text of a record.
    private mutating func store(_ name: String, _ kinds: some Sequence<String>) throws -> Notifier.Outcome {
        var descriptors: [CInt] = []
        defer { for descriptor in descriptors { close(descriptor) } }
        for kind in kinds {
            switch kind {
            case "pipe":
                let pipe = try Pipe()
                descriptors.append(try pipe.writeEnd.duplicate().release())
                readers[name] = try pipe.readEnd.duplicate().release()
            case "reader": if let reader = readers[name] { descriptors.append(try valueOrErrno(dup(reader))) }
            case "staging":
                descriptors.append(try Pipe().readEnd.reopenedForReadingAndWriting().release())
            case "ledger": descriptors.append(try SharedCounters.makeFile(name: "ledger").release())
            case "socket":
                let pair = try UnixSocket.streamPair()
                descriptors.append(try pair.first.duplicate().release())
                readers[name] = try pair.second.duplicate().release()
            case "again": descriptors.append(try valueOrErrno(dup(held.last ?? -1)))
            default:
                var record = try RecordFile(name: "record")
                try record.write(Array(kind.utf8))
                held.append(try record.descriptor.duplicate().release())
                descriptors.append(try record.descriptor.duplicate().release())
            }
        }
        return notifier.store(name: name, descriptors: descriptors)
    }

    /// Sends this number of messages with one memory file each. Their names are numbers with leading zeros.
    private func fill(_ count: Int, width: Int) throws -> String {
        let began = ContinuousClock.now
        for number in 0..<count {
            let name = Self.name(number, width: width)
            let page = try SharedCounters.makeFile(name: "page")
            if width <= StoredName.longest {
                guard notifier.store(name: name, descriptors: [page.rawValue]) == .sent else {
                    return "failed"
                }
            } else {
                try Self.storeRaw(name, page)
            }
        }
        _ = try barrier()
        return "filled in \(ContinuousClock.now - began)"
    }

    /// Stores this number of jobs with four descriptors each.
    private mutating func groups(_ count: Int) throws -> String {
        for number in 0..<count {
            let name = Self.name(number, width: StoredName.longest)
            guard try store(name, ["staging", "ledger", "record", "second"]) == .sent else { return "failed" }
        }
        _ = try barrier()
        return "filled"
    }

    private static func name(_ number: Int, width: Int) -> String {
        let digits = String(number, radix: 36)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Sends a message that `Notifier` refuses.
    private static func storeRaw(_ name: String, _ descriptor: borrowing OwnedDescriptor) throws {
        let path = getenv("NOTIFY_SOCKET").map { String(cString: $0) } ?? ""
        let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let manager = OwnedDescriptor(adopting: try valueOrErrno(socket(AF_UNIX, type, 0)))
        _ = try valueOrErrno(cunix_connect_unix(manager.rawValue, path))
        let message = Array("FDSTORE=1\nFDNAME=\(name)".utf8)
        _ = try message.withUnsafeBytes {
            try SocketMessage.send($0, descriptors: [descriptor.rawValue], to: manager)
        }
    }

    private func barrier() throws -> String {
        switch notifier.barrier() {
        case .pending(let answer):
            var entry = pollfd(fd: answer.rawValue, events: 0, revents: 0)
            return poll(&entry, 1, 120_000) == 1 ? "answered" : "no answer"
        case .notNeeded: return "notNeeded"
        case .failed(let errno): throw errno
        }
    }
}
