/// The behaviour of the session. Each option is the condition of one fact.
struct ProbeOptions: Sendable {
    /// An ordinary OperationQueue instead of the inline one.
    var ordinaryQueue = false
    /// The time to sleep in each data callback.
    var slowMicroseconds: UInt32 = 0
    /// The number of bytes after which the data callback blocks until `open`.
    var gateAt: Int?
    /// Whether cookies are kept as with `.ephemeral`.
    var keepsCookies = false
    /// `timeoutIntervalForRequest`.
    var timeout: Double = 60
    /// The answer to an authentication challenge: `default`, `inline` (cancel, in the callback), `outside`
    /// (cancel).
    var challenge = "outside"
    /// Whether redirects are followed.
    var followsRedirects = true
    /// The answer of `didReceive response`: `allow` or `cancel`.
    var disposition = "allow"
    /// Whether to call `cancel` in the first data callback.
    var cancelsInCallback = false
    /// The CA file that an interposed `curl_easy_init` makes libcurl trust.
    var authority: String?
    /// The seed of the pattern with which bodies are compared.
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
