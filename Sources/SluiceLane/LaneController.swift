internal import EventLoop
internal import FoundationNetworking
internal import Glibc
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import UnixSockets

/// One job in this lane. It is over when both are true: nothing more will be written, and URLSession is done.
private final class LaneJob {
    let order: LaneOrder
    let pump: Pump
    var transfer: Transfer?
    var sinkWatch: Watch?
    var tick: Timer?
    var patience: Timer?
    var sweep: Timer?
    /// What the end of the body means, once the origin has ended it.
    var result: Outcome?
    var hasResponse = false
    var accountIsClosed = false
    var sessionIsDone = false

    init(order: LaneOrder, pump: Pump) {
        self.order = order
        self.pump = pump
    }

    func cancelTimers() {
        for timer in [tick, patience, sweep] { timer?.cancel() }
        sinkWatch?.cancel()
        sinkWatch = nil
    }
}

/// Carries out the daemon's commands, one job at a time, and keeps the time limits.
///
/// Lives on the loop's thread; events of the other thread come in through `LaneMailbox`.
final class LaneController {
    /// A response that is not wanted is received and dropped up to this length, in bytes: that keeps the connection.
    private static let worthDropping = 64 << 10
    /// How long dropping may take before the connection is shut down after all.
    private static let droppingTime = Duration.milliseconds(250)
    /// How often the connections are shut down again until URLSession notices: libcurl may just be opening one.
    private static let sweepInterval = Duration.milliseconds(20)
    /// How long URLSession has to notice, before it is asked to cancel.
    private static let cancelDelay = Duration.milliseconds(500)

    private let loop: EventLoop
    private let channel: ControlChannel
    private let session = LaneSession()
    private var job: LaneJob?

    init(loop: EventLoop, channel: ControlChannel) {
        self.loop = loop
        self.channel = channel
    }

    func start() throws(Errno) {
        _ = try loop.watch(channel.socket, for: .readable) { [self] _ in receiveCommands() }
        channel.send(.ready)
    }

    // MARK: The daemon's commands

    private func receiveCommands() {
        while true {
            switch channel.receive() {
            case .nothing:
                return
            case .closed:
                // At once: the session's thread may be waiting for a consumer, and nobody is left to tell.
                _exit(0)
            case .command(.order(let order), var descriptors):
                take(order, &descriptors)
            case .command(.end(let serial), _):
                if let job, job.order.serial == serial { end(job, Outcome(.cancelled, "it was ended")) }
            case .command(.pipesGrown(let serial), _):
                if let job, job.order.serial == serial { job.pump.pipesGrown() }
            }
        }
    }

    private func take(_ order: LaneOrder, _ descriptors: inout ReceivedDescriptors) {
        guard job == nil, let sink = descriptors.take(0), let page = descriptors.take(1),
            let staging = descriptors.take(2),
            let counters = try? SharedCounters(mapping: page), let ledger = Ledger(existing: counters),
            let marks = try? Watermarks(high: order.highWatermark, low: order.lowWatermark),
            let url = try? RequestURL(order.url)
        else { return refuse(order, "the order is not one that a lane can carry out") }
        ledger.markTaken()
        let mailbox = LaneMailbox(loop: loop, controller: self, serial: order.serial)
        do {
            let pump = try Pump(
                sink: sink, staging: staging, ledger: ledger, order: order, marks: marks,
                notify: { mailbox.post(.pump($0)) })
            let transfer = Transfer(
                order: order, url: url, pump: pump, notify: { mailbox.post(.transfer($0)) })
            let job = LaneJob(order: order, pump: pump)
            job.transfer = transfer
            job.sinkWatch = try pump.watch(on: loop) { [self, weak job] readiness in
                guard let job else { return }
                sinkIsReady(job, readiness)
            }
            guard let request = transfer.request() else {
                job.cancelTimers()
                return refuse(order, "Foundation does not take this URL")
            }
            self.job = job
            job.patience = loop.after(.seconds(order.timeouts.connect)) { [self, weak job] in
                guard let job else { return }
                end(
                    job,
                    Outcome(
                        .connectTimeout,
                        "no response from \(url.origin.host) within \(order.timeouts.connect) s"))
            }
            session.begin(transfer, request)
        } catch {
            refuse(order, "the lane lacks what it needs: \(error)")
        }
    }

    private func refuse(_ order: LaneOrder, _ reason: String) {
        channel.send(.ended(serial: order.serial, EndFacts(Outcome(.laneUnavailable, reason))))
        channel.send(.idle)
    }

    // MARK: Events

    fileprivate func handle(_ event: LaneMailbox.Event, serial: Int) {
        guard let job, job.order.serial == serial else { return }
        switch event {
        case .pump(let event): handle(event, job)
        case .transfer(let event): handle(event, job)
        }
    }

    private func handle(_ event: Pump.Event, _ job: LaneJob) {
        switch event {
        case .startTicking:
            scheduleTick(job, milliseconds: 1)
        case .flowing:
            channel.send(.flowing(serial: job.order.serial))
            scheduleTick(job, milliseconds: 1)
        case .keepsUp:
            channel.send(.keepsUp(serial: job.order.serial))
        case .consumerGone:
            close(job, Outcome(.consumerGone, "the consumer closed its end of the pipe"))
            stopTransfer(job)
        case .tooLarge:
            close(
                job,
                Outcome(.tooLarge, "the body is larger than the \(job.order.maximumSize ?? 0) bytes allowed"))
            stopTransfer(job)
        case .drained:
            close(job, job.result ?? Outcome(.protocolError, "the body ended without a result"))
        }
    }

    private func handle(_ event: Transfer.Event, _ job: LaneJob) {
        switch event {
        case .responded(let status, let length):
            job.hasResponse = true
            channel.send(
                .responded(
                    serial: job.order.serial,
                    ResponseFacts(
                        status: status,
                        representation: Representation(
                            url: job.order.url, sendsHeaders: true, version: .unnamed, length: length,
                            framing: .length), etag: nil)))
            job.patience?.cancel()
            watchOrigin(job, after: .seconds(job.order.timeouts.stall))
        case .refused(let outcome, _, let length):
            guard job.pump.end() else { return }
            close(job, outcome)
            if let length, length <= Self.worthDropping {
                job.sweep = loop.after(Self.droppingTime) { [self, weak job] in
                    if let job { stopTransfer(job) }
                }
            } else {
                stopTransfer(job)
            }
        case .completed(let outcome):
            job.result = outcome
            job.patience?.cancel()
            job.sweep?.cancel()
            job.sessionIsDone = true
            finishIfDone(job)
        }
    }

    private func sinkIsReady(_ job: LaneJob, _ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.failed, .hungUp]) {
            end(job, Outcome(.consumerGone, "the consumer closed its end of the pipe"))
        } else if !job.pump.pushAll() {
            job.sinkWatch?.readiness = []
        }
    }

    private func scheduleTick(_ job: LaneJob, milliseconds: Int) {
        job.tick = loop.after(.milliseconds(milliseconds)) { [self, weak job] in
            guard let job else { return }
            let tick = job.pump.tick()
            if tick.wantsRoom { job.sinkWatch?.readiness = .writable }
            switch tick.next {
            case .never: break
            case .after(let milliseconds): scheduleTick(job, milliseconds: milliseconds)
            case .stalled: channel.send(.stalled(serial: job.order.serial))
            }
        }
    }

    /// The stall timer: time behind a closed gate is the consumer's and does not count.
    private func watchOrigin(_ job: LaneJob, after delay: Duration) {
        job.patience = loop.after(delay) { [self, weak job] in
            guard let job else { return }
            let limit = Duration.seconds(job.order.timeouts.stall)
            let silence = job.pump.originSilence() ?? .zero
            guard silence >= limit else { return watchOrigin(job, after: limit - silence) }
            end(
                job,
                Outcome(.stallTimeout, "the server sent nothing for \(job.order.timeouts.stall) s"))
        }
    }

    // MARK: The end

    /// Ends a job from here: the account at once, the transfer as soon as URLSession lets go of it.
    ///
    /// A consumer that has every byte of an announced length may well close before URLSession has told of the end.
    private func end(_ job: LaneJob, _ outcome: Outcome) {
        guard job.pump.end() else { return }
        if let length = job.transfer?.announcedLength, job.pump.delivered == length {
            close(job, Outcome(.complete, "the body has \(length) bytes"))
        } else {
            close(job, outcome)
        }
        stopTransfer(job)
    }

    /// Nothing more will be written: tells the daemon, who settles the account.
    private func close(_ job: LaneJob, _ outcome: Outcome) {
        guard !job.accountIsClosed else { return }
        job.accountIsClosed = true
        job.sinkWatch?.cancel()
        job.sinkWatch = nil
        job.tick?.cancel()
        job.patience?.cancel()
        channel.send(
            .ended(serial: job.order.serial, EndFacts(outcome, status: job.transfer?.status)))
        finishIfDone(job)
    }

    /// Takes the transfer's connections away until URLSession notices. If it never does, the daemon ends the lane.
    private func stopTransfer(_ job: LaneJob) {
        guard !job.sessionIsDone else { return }
        job.transfer?.abandon()
        InetSockets.shutDownAll()
        sweepAgain(job)
        // What has no connection yet cannot be shut down: a name that is being looked up. Not at once, because a
        // cancellation that overtakes the answer to a redirect stops the process.
        job.patience = loop.after(Self.cancelDelay) { [self, weak job] in
            if let job, !job.sessionIsDone { session.cancelInBackground() }
        }
    }

    private func sweepAgain(_ job: LaneJob) {
        job.sweep = loop.after(Self.sweepInterval) { [self, weak job] in
            guard let job else { return }
            InetSockets.shutDownAll()
            sweepAgain(job)
        }
    }

    private func finishIfDone(_ job: LaneJob) {
        guard job.accountIsClosed, job.sessionIsDone else { return }
        job.cancelTimers()
        // The descriptors go with the pump.
        session.forget()
        self.job = nil
        channel.send(.idle)
    }
}

/// Carries events of one job from the session's thread to the loop's.
private final class LaneMailbox: Sendable {
    enum Event: Sendable {
        case pump(Pump.Event)
        case transfer(Transfer.Event)
    }

    private let loop: EventLoop
    private let serial: Int
    // Only touched on the loop's thread, in `execute`: the controller lives there.
    private nonisolated(unsafe) let controller: LaneController

    init(loop: EventLoop, controller: LaneController, serial: Int) {
        self.loop = loop
        self.serial = serial
        self.controller = controller
    }

    func post(_ event: Event) {
        loop.execute { [self] in controller.handle(event, serial: serial) }
    }
}
