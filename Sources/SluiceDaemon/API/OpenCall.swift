internal import Unix
internal import Varlink

/// A call that has not had its last reply. `VarlinkCall`, whose documentation holds for this, is the one that counts;
/// tests have others.
protocol OpenCall: AnyObject {
    var peer: PeerCredentials { get }
    var wantsMore: Bool { get }
    var unreadReplyBytes: Int { get }
    var onDisconnect: (() -> Void)? { get set }

    func reply(_ value: some Encodable, continues: Bool)
    func reply(_ parameters: EncodedParameters, continues: Bool)
    func fail(_ error: some VarlinkErrorProtocol)
}

extension VarlinkCall: OpenCall {}
