internal import CUnix
internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix

/// Carries out the daemon's commands, one job at a time, and enforces the time limits.
///
/// Used on the loop's thread only; events from the session's thread come through `LaneMailbox`.
final class LaneController {
    /// The longest unwanted response that is received and dropped, in bytes, in order to keep the connection.
    private static let worthDropping = 64 << 10
    /// After a body longer than this, in bytes, the lane gives free memory back: the body may have grown the heap.
    private static let worthTidying = 1 << 20
    /// It does so after a time without a job, because the next one would have to get the same memory again, page by page.
    /// With 64 bodies of 2 MiB on a few lanes, that was a sixth of all processor time.
    private static let tidyingDelay = Duration.milliseconds(200)
    /// How long dropping may take before the connection is shut down.
    private static let droppingTime = Duration.milliseconds(250)
    /// The interval at which connections are shut down until URLSession notices: libcurl may be opening a new one.
    private static let sweepInterval = Duration.milliseconds(20)

    private let loop: EventLoop
    private let channel: ControlChannel
    private let session = LaneSession()
    private let room: RoomWait
    private var job: LaneJob?
    /// The account of the last job, if its whole body was delivered.
    private var free: FreeAccount?
    /// The egress rules of the last job, under which the kept connections were made.
    private var egress = ""
    private var isUntidy = false
    private var tidying: Timer?

    init(loop: EventLoop, channel: ControlChannel) throws(Errno) {
        self.loop = loop
        self.channel = channel
        room = try RoomWait()
    }

    func start(_ confinement: LaneConfinement) throws(Errno) {
        _ = try loop.watch(channel.socket, for: .readable) { [self] _ in receiveCommands() }
        channel.send(.ready(wire: LaneReport.wire, confinement: confinement))
    }

    // MARK: The daemon's commands

    private func receiveCommands() {
        while true {
            switch channel.receive() {
            case .nothing:
                return
            case .closed:
                // The process exits at once, without atexit handlers: the session's thread may be waiting for a
                // consumer, and there is no daemon to report to.
                _exit(0)
            case .command(.order(let order), var descriptors):
                take(order, &descriptors)
            case .command(.end(let serial), _):
                if let job, job.order.serial == serial { end(job, Outcome(.cancelled, "it was ended")) }
            case .command(.pipesGrown(let serial), _):
                if let job, job.order.serial == serial { job.pump.pipesGrown() }
            case .command(.rate(let serial, let bytesPerSecond), _):
                if let job, job.order.serial == serial { job.pump.setRate(bytesPerSecond) }
            case .command(.probe(let serial, let number), _):
                if let job, job.order.serial == serial { probe(job, number) }
            }
        }
    }

    private func take(_ order: LaneOrder, _ descriptors: inout ReceivedDescriptors) {
        guard job == nil, let sink = descriptors.take(0), let free = account(&descriptors),
            let marks = try? Watermarks(high: order.highWatermark, low: order.lowWatermark),
            let requests = RequestMaker(order),
            let request = requests.request(to: requests.url, credentials: requests.credentials)
        else { return refuse(order, "the lane cannot carry out this order") }
        guard requests.egress.isEmpty || EgressGuard.isEffective else {
            return refuse(
                order, "this lane cannot enforce [egress] of the settings: see sluice-lane --check-shim")
        }
        if let refusal = EgressRefusal(of: requests.url, by: requests.egress) {
            return refuse(order, refusal.facts())
        }
        do {
            // The lock must come before any access to the account: another lane may still write to it.
            let account = free.account
            let lock = try LedgerLock(free.file)
            guard account.isAt(order.position) else {
                return refuse(order, "the job's ledger is not at byte \(order.position)")
            }
            account.ledger.markTaken()
            let mailbox = LaneMailbox(loop: loop, controller: self, serial: order.serial)
            let pump = try Pump(
                sink: sink, account: account, room: room, order: order, marks: marks,
                notify: { mailbox.post(.pump($0)) })
            let transfer = Transfer(
                requests: requests, pump: pump, notify: { mailbox.post(.transfer($0)) })
            let job = makeJob(order, pump, transfer, lock)
            try job.consumer.watch(for: [])
            self.job = job
            tidying?.cancel()
            job.origin.begin()
            RequestProgress.prepare(
                connectSeconds: order.timeouts.connect, http1Only: order.http1Only, rate: order.rate,
                egress: requests.egress,
                certificate: order.clientCertificate.map { (text: $0, host: requests.url.origin.host) })
            // Kept connections were made under other rules, or the order says that they must be dropped.
            if order.egress != egress || order.dropsConnections { InetSockets.shutDownAll() }
            egress = order.egress
            session.begin(transfer, request)
        } catch let refusal as LedgerLock.Refusal {
            refuse(order, refusal.reason)
        } catch {
            refuse(order, "the lane cannot get a resource that it needs: \(error)")
        }
    }

    private func makeJob(
        _ order: LaneOrder, _ pump: Pump, _ transfer: Transfer, _ lock: consuming LedgerLock
    ) -> LaneJob {
        let end: (Outcome) -> Void = { [self] outcome in
            if let job, job.order.serial == order.serial { self.end(job, outcome) }
        }
        return LaneJob(
            order: order, pump: pump, transfer: transfer,
            consumer: ConsumerMonitor(
                loop: loop, pump: pump,
                onStall: { [channel] in channel.send(.stalled(serial: order.serial)) }, end: end),
            origin: OriginTimeouts(order, loop: loop, pump: pump, transfer: transfer, end: end),
            lock: lock)
    }

    /// The account that comes with the order, or the one that is left from the last job. The old account is dropped
    /// before a new one is opened: closing a second descriptor of the same file would release the lock on it
    /// (fcntl(2)).
    private func account(_ descriptors: inout ReceivedDescriptors) -> FreeAccount? {
        let left = free.take()
        guard let file = descriptors.take(1) else { return left }
        guard let staging = descriptors.take(2) else { return nil }
        return FreeAccount(file: file, staging: staging)
    }

    /// Answers the daemon's question in the ledger if the session is alive, too.
    private func probe(_ job: LaneJob, _ number: Int) {
        let mailbox = LaneMailbox(loop: loop, controller: self, serial: job.order.serial)
        Probe.run(isOriginsTurn: job.pump.originSilence() != nil, on: session) {
            mailbox.post(.isAlive(number))
        }
    }

    private func refuse(_ order: LaneOrder, _ reason: String) {
        refuse(order, EndFacts(Outcome(.laneUnavailable, reason)))
    }

    private func refuse(_ order: LaneOrder, _ facts: EndFacts) {
        channel.send(.ended(serial: order.serial, facts, isIdle: true, keepsAccount: false))
    }

    // MARK: Events

    func handle(_ event: LaneMailbox.Event, serial: Int) {
        guard let job, job.order.serial == serial else { return }
        switch event {
        case .pump(let event): handle(event, job)
        case .transfer(let event): handle(event, job)
        case .isAlive(let number):
            // Once the account is closed, another lane may write to the ledger.
            if !job.stage.accountIsClosed { job.pump.account.ledger.answer(UInt64(clamping: number)) }
        }
    }

    private func handle(_ event: PumpEvent, _ job: LaneJob) {
        switch event {
        case .gathered:
            job.pump.pushGathered()
        case .startTicking:
            startTicking(job)
        case .flowing:
            channel.send(.flowing(serial: job.order.serial))
            startTicking(job)
        case .held:
            channel.send(.held(serial: job.order.serial))
        case .released:
            channel.send(.released(serial: job.order.serial))
        case .keepsUp:
            channel.send(.keepsUp(serial: job.order.serial))
        case .consumerGone:
            close(job, EndFacts(.consumerGone, status: job.transfer.status))
            stopTransfer(job)
        case .stagingFailed:
            close(
                job,
                EndFacts(
                    Outcome(.laneUnavailable, "the staging pipe of the job takes no bytes"),
                    status: job.transfer.status))
            stopTransfer(job)
        case .tooLarge:
            let limit = job.order.maximumSize ?? 0
            close(
                job,
                EndFacts(
                    Outcome(.tooLarge, "the body is larger than the \(limit) bytes allowed"),
                    status: job.transfer.status))
            stopTransfer(job)
        case .drained:
            close(
                job,
                job.stage.result
                    ?? EndFacts(
                        Outcome(.protocolError, "the body ended without a result"),
                        status: job.transfer.status))
        }
    }

    private func handle(_ event: Transfer.Event, _ job: LaneJob) {
        switch event {
        case .responded(let facts):
            channel.send(.responded(serial: job.order.serial, facts))
            // A limit may have ended the job meanwhile.
            if !job.stage.accountIsClosed { job.origin.bodyBegins() }
        case .settled(let facts, let length):
            guard job.pump.end() else { return }
            close(job, facts)
            if let length, length <= Self.worthDropping {
                keep(
                    loop.after(Self.droppingTime) { [self, weak job] in if let job { stopTransfer(job) } },
                    in: job)
            } else {
                stopTransfer(job)
            }
        case .redirected(let request):
            // The job may have been ended meanwhile; no further request is made then.
            if job.stage.accountIsClosed { return sessionHasReleased(job) }
            session.begin(job.transfer, request)
        case .completed(let facts):
            job.origin.stop()
            // If bytes must still be delivered, the report `ended` will also say that the session is idle.
            if !job.stage.sessionFinishes(with: facts) { sessionHasReleased(job) }
        }
    }

    /// URLSession has finished with a job whose account is closed.
    private func sessionHasReleased(_ job: LaneJob) {
        job.stage.sessionReleases()?.cancel()
        letGo(of: job)
        channel.send(.idle)
    }

    /// The event may have been sent before the account was closed. After that the lane does not watch the consumer.
    private func startTicking(_ job: LaneJob) {
        if !job.stage.accountIsClosed { job.consumer.startTicking() }
    }

    // MARK: The end

    /// Ends a job on the lane's own decision: the account at once, the transfer as soon as URLSession releases it.
    ///
    /// A consumer that has all bytes of an announced length may close its pipe before URLSession reports the end.
    private func end(_ job: LaneJob, _ outcome: Outcome) {
        guard job.pump.end() else { return }
        let facts = job.transfer.facts(forAll: job.pump.delivered)
        close(job, facts ?? EndFacts(outcome, status: job.transfer.status))
        stopTransfer(job)
    }

    /// Closes the account: nothing more will be written. Tells the daemon, which settles the account.
    private func close(_ job: LaneJob, _ facts: EndFacts) {
        guard job.stage.accountCloses() else { return }
        job.consumer.stop()
        job.origin.stop()
        // The pump has ended, so no thread of this process uses the pipes or the ledger any more. The lock must be
        // released before the report, because the daemon may give the job to another lane at once.
        let file = job.releaseLock()
        let isIdle = job.stage.sessionIsDone
        // A grown staging pipe is not kept: its size is in the budget of its job only.
        let keepsAccount = isIdle && facts.outcome.code.state == .complete && job.pump.stagingIsOrdinary
        if keepsAccount, let file { free = FreeAccount(file: file, account: job.pump.account) }
        if isIdle { letGo(of: job) }
        channel.send(.ended(serial: job.order.serial, facts, isIdle: isIdle, keepsAccount: keepsAccount))
    }

    /// Shuts the transfer's connections down until URLSession notices. If it never does, the daemon ends the lane.
    private func stopTransfer(_ job: LaneJob) {
        guard !job.stage.sessionIsDone else { return }
        job.transfer.abandon()
        // This ends a transfer that has no connection yet, for example during a name lookup.
        RequestProgress.abort()
        InetSockets.shutDownAll()
        sweepAgain(job)
    }

    private func sweepAgain(_ job: LaneJob) {
        keep(
            loop.after(Self.sweepInterval) { [self, weak job] in
                guard let job else { return }
                InetSockets.shutDownAll()
                sweepAgain(job)
            }, in: job)
    }

    private func keep(_ timer: Timer, in job: LaneJob) {
        job.stage.keep(timer)?.cancel()
    }

    /// Releases the job once both threads have finished with it: the next one may come.
    private func letGo(of job: LaneJob) {
        if job.pump.received > Self.worthTidying { isUntidy = true }
        // The job's descriptors are closed with the pump.
        session.forget()
        self.job = nil
        tidyLater()
    }

    private func tidyLater() {
        tidying?.cancel()
        guard isUntidy else { return }
        tidying = loop.after(Self.tidyingDelay) { [self] in
            isUntidy = false
            cunix_give_memory_back()
        }
    }
}
