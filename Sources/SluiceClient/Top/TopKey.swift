/// A key that was pressed.
public enum TopKey: Sendable, Equatable {
    /// An ASCII character; letters are in lower case.
    case character(Character)
    /// Arrows, and `k` and `j`.
    case up, down
    /// A screenful.
    case pageUp, pageDown
    /// The first and the last row.
    case home, end
    /// Ctrl-L.
    case redraw
}

/// Decodes the bytes that a terminal sends into keys. Pure.
///
/// An unknown sequence is ignored as a whole (ECMA-48 §5.4: parameters, then one final byte), so that no part of it
/// is taken for a letter. A sequence may arrive in pieces.
public struct TopKeyDecoder: Sendable {
    private enum State {
        case ground
        case escape
        /// Inside a control sequence, with its parameters.
        case sequence([UInt8])
        /// After ESC O; one byte follows.
        case single
    }

    private var state = State.ground
    /// A longer sequence is ignored.
    private static let longest = 16

    /// A decoder that has read nothing.
    public init() {}

    /// The keys in these bytes.
    public mutating func decode(_ bytes: some Sequence<UInt8>) -> [TopKey] {
        bytes.compactMap { take($0) }
    }

    private mutating func take(_ byte: UInt8) -> TopKey? {
        switch state {
        case .ground: return ground(byte)
        case .escape:
            switch byte {
            case 0x5B: state = .sequence([])
            case 0x4F: state = .single
            case 0x1B: state = .escape
            // ESC and a letter mean that letter with Alt, or two keys.
            default: state = .ground
            }
            return nil
        case .single:
            state = .ground
            return Self.final(byte, [])
        case .sequence(let parameters):
            switch byte {
            case 0x20...0x3F where parameters.count < Self.longest:
                state = .sequence(parameters + [byte])
                return nil
            case 0x40...0x7E:
                state = .ground
                return Self.final(byte, parameters)
            case 0x1B:
                state = .escape
                return nil
            default:
                state = .ground
                return nil
            }
        }
    }

    private mutating func ground(_ byte: UInt8) -> TopKey? {
        switch byte {
        case 0x1B:
            state = .escape
            return nil
        case 0x0C: return .redraw
        case 0x6A, 0x4A: return .down
        case 0x6B, 0x4B: return .up
        case 0x41...0x5A: return .character(Character(UnicodeScalar(byte + 0x20)))
        case 0x20...0x7E: return .character(Character(UnicodeScalar(byte)))
        default: return nil
        }
    }

    private static func final(_ byte: UInt8, _ parameters: [UInt8]) -> TopKey? {
        switch byte {
        case 0x41: return .up
        case 0x42: return .down
        case 0x48: return .home
        case 0x46: return .end
        case 0x7E:
            switch String(decoding: parameters, as: UTF8.self) {
            case "5": return .pageUp
            case "6": return .pageDown
            case "1", "7": return .home
            case "4", "8": return .end
            default: return nil
            }
        default: return nil
        }
    }
}
