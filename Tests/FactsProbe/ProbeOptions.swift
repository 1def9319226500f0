/// How the session behaves; each is one fact's condition.
struct ProbeOptions: Sendable {
    /// An ordinary OperationQueue in place of the inline one.
    var ordinaryQueue = false
    /// Sleep so long in each data callback.
    var slowMicroseconds: UInt32 = 0
    /// Block in the data callback once so many bytes have come, until `open`.
    var gateAt: Int?
    /// Cookies as `.ephemeral` has them.
    var keepsCookies = false
    /// `timeoutIntervalForRequest`.
    var timeout: Double = 60
    /// The answer to an authentication challenge: `default`, `inline` (cancel, in the callback), `outside`
    /// (cancel).
    var challenge = "outside"
    /// Whether redirects are followed.
    var followsRedirects = true
    /// What `didReceive response` answers: `allow` or `cancel`.
    var disposition = "allow"
    /// Call `cancel` in the first data callback.
    var cancelsInCallback = false
    /// The CA file that libcurl is told to trust by an interposed `curl_easy_init`.
    var authority: String?
    /// The seed of the pattern that bodies are compared with.
    var seed: UInt64 = 1

    init(_ arguments: ArraySlice<String>) {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1)
            let value = parts.count > 1 ? String(parts[1]) : ""
            switch parts[0] {
            case "ordinary": ordinaryQueue = true
            case "slow": slowMicroseconds = UInt32(value) ?? 0
            case "gate": gateAt = Int(value)
            case "cookies": keepsCookies = true
            case "timeout": timeout = Double(value) ?? 60
            case "challenge": challenge = value
            case "refuse-redirects": followsRedirects = false
            case "disposition": disposition = value
            case "cancel-in-callback": cancelsInCallback = true
            case "authority": authority = value
            case "seed": seed = UInt64(value) ?? 1
            default: report("unknown option", ["option": argument])
            }
        }
    }
}
