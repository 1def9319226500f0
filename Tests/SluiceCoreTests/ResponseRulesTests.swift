import SluiceCore
import SluiceInterface
import Testing

@Suite("What a response means")
struct ResponseRulesTests {
    private func judge(_ status: Int, _ fields: [String: String] = [:], maximumSize: Int? = nil)
        -> ResponseDecision
    {
        ResponseRules.judge(status: status, field: { fields[$0] }, maximumSize: maximumSize)
    }

    private func refusal(_ decision: ResponseDecision) -> OutcomeCode? {
        guard case .refuse(let code, let message) = decision else { return nil }
        #expect(!message.isEmpty)
        return code
    }

    @Test(
        "only 2xx is taken",
        arguments: [100, 199, 300, 301, 304, 399, 400, 401, 404, 407, 499, 500, 503, 599, 600, 0])
    func statuses(_ status: Int) {
        #expect(refusal(judge(status)) == .httpStatus)
    }

    @Test("206 is not taken, and no content is no body")
    func special() {
        #expect(refusal(judge(206)) == .unexpectedPartial)
        #expect(judge(204, ["content-length": "5"]) == .accept(length: 0, framing: .none))
        // 205 must not have a body either, but is framed as if it could (RFC 9112 §6.3): what it says is checked.
        #expect(judge(205, ["content-length": "0"]) == .accept(length: 0, framing: .length))
        for status in [200, 201, 202, 203, 226, 299] {
            #expect(judge(status, ["content-length": "5"]) == .accept(length: 5, framing: .length))
        }
    }

    @Test("encodings other than identity are not taken")
    func encodings() {
        for coding in ["gzip", "br", "deflate", "identity, gzip", "x"] {
            #expect(refusal(judge(200, ["content-encoding": coding])) == .contentEncoded, "\(coding)")
        }
        for coding in ["identity", "Identity", ""] {
            #expect(refusal(judge(200, ["content-encoding": coding])) == nil)
        }
        // Of the transfer, it is taken off likewise, and a cut body looks whole.
        for coding in ["gzip, chunked", "gzip", "GZIP , chunked", "deflate", "x"] {
            #expect(refusal(judge(200, ["transfer-encoding": coding])) == .contentEncoded, "\(coding)")
        }
    }

    @Test("the framing: a transfer coding goes before a length, and neither is the connection's end")
    func framing() {
        #expect(judge(200, ["transfer-encoding": "chunked"]) == .accept(length: nil, framing: .chunked))
        #expect(judge(200, ["transfer-encoding": "Chunked"]) == .accept(length: nil, framing: .chunked))
        #expect(
            judge(200, ["transfer-encoding": "chunked", "content-length": "5"])
                == .accept(length: nil, framing: .chunked))
        #expect(judge(200, ["transfer-encoding": "identity"]) == .accept(length: nil, framing: .unannounced))
        #expect(judge(200) == .accept(length: nil, framing: .unannounced))
        for length in ["", "-1", "x", "5, 5", "99999999999999999999"] {
            #expect(refusal(judge(200, ["content-length": length])) == .protocolError, "\(length)")
        }
    }

    @Test("an announced length over the limit is refused before a byte comes")
    func tooLarge() {
        #expect(refusal(judge(200, ["content-length": "11"], maximumSize: 10)) == .tooLarge)
        #expect(refusal(judge(200, ["content-length": "10"], maximumSize: 10)) == nil)
    }

    @Test("the end of a body: a length has to agree, a last chunk proves it, a closed connection does not")
    func ends() {
        func end(_ received: Int, _ length: Int?, _ framing: BodyFraming, proven: Bool = false) -> OutcomeCode
        {
            ResponseRules.atEnd(received: received, length: length, framing: framing, endIsProven: proven)
                .code
        }
        #expect(end(5, 5, .length) == .complete)
        #expect(end(4, 5, .length) == .truncated)
        #expect(end(6, 5, .length) == .truncated)
        #expect(end(0, 0, .length) == .complete)
        #expect(end(0, 0, .none) == .complete)
        #expect(end(7, nil, .chunked) == .complete)
        #expect(end(7, nil, .unannounced) == .completeUnverified)
        #expect(end(7, nil, .unannounced, proven: true) == .complete)
    }
}
