import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// The processor time of lanes while their origins are silent (docs/foundation.md, F21).
    @Suite("Waiting lanes")
    struct WaitingLanes {
        @Test(
            "A lane that waits for a head uses no processor time, over any wire, on new and kept connections",
            arguments: Wire.available)
        func sleepsOverEveryWire(_ wire: Wire) throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let wires = try Wires("lanes.minimum = 1\nlanes.maximum = 1\n") { options in
                options.serverConfiguration =
                    "location /silent { proxy_pass http://127.0.0.1:\(origin.port)/; proxy_read_timeout 300s; }"
            }
            try wires.nginx.serve("file", Pattern(), count: 1000)
            for isKept in [false, true] {
                if isKept {
                    try wires.service.fetch(wires.url("/file", over: wire)).finishComplete(1000)
                }
                let requests = origin.requests.count
                let job = try wires.service.fetch(wires.url("/silent", over: wire))
                try origin.waitForRequests(requests + 1)
                let lane = try job.lane()
                try eventually("two seconds with less than 20 ms of work") {
                    let before = try ProcessorTime.of(processID: lane)
                    // The sleep is the time over which the lane's processor time is measured.
                    usleep(2_000_000)
                    return try ProcessorTime.of(processID: lane) - before < .milliseconds(20)
                }
                _ = try wires.service.cancel(job.id)
                try job.finish(failing: .cancelled)
            }
        }
    }
}
