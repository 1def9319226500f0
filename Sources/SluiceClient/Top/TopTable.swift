internal import SluiceInterface

/// The columns of the live view: which ones fit, their widths, and their contents.
struct TopTable {
    enum Column: CaseIterable {
        case id, user, state, tries, rate, percent, bar, bytes, size, buffered, marks, stalled, age, url

        var title: String {
            switch self {
            case .id: "ID"
            case .user: "USER"
            case .state: "STATE"
            case .tries: "TRIES"
            case .rate: "RATE"
            case .percent: "%"
            case .bar: "PROGRESS"
            case .bytes: "BYTES"
            case .size: "SIZE"
            case .buffered: "BUFFERED/HIGH"
            case .marks: "WATERMARKS"
            case .stalled: "STALLED"
            case .age: "AGE"
            case .url: "URL"
            }
        }

        /// In characters. The URL gets the rest of the line, and at least this width.
        var width: Int {
            switch self {
            case .id, .bar: 12
            case .user: 6
            case .state, .marks: 10
            case .tries: 5
            case .rate: 9
            case .percent: 3
            case .bytes, .size, .stalled: 7
            case .buffered: 15
            case .age: 6
            case .url: 16
            }
        }

        /// Where there is not enough room, the column with the lowest weight goes first.
        var weight: Int {
            switch self {
            case .id: 100
            case .state: 95
            case .rate: 90
            case .percent: 85
            case .buffered: 80
            case .stalled: 75
            case .bar: 70
            case .bytes: 65
            case .url: 60
            case .size: 40
            case .age: 35
            case .marks: 30
            case .tries: 25
            case .user: 20
            }
        }

        var isRight: Bool {
            switch self {
            case .user, .tries, .rate, .percent, .bytes, .size, .buffered, .stalled, .age: true
            case .id, .state, .bar, .marks, .url: false
            }
        }
    }

    /// The columns that fit, from left to right.
    let columns: [Column]
    private let urlWidth: Int?
    private let isUnicode: Bool

    /// - Parameter width: the width of the terminal; nil for all columns, with nothing cut.
    init(width: Int?, isUnicode: Bool) {
        var columns = Column.allCases
        func total() -> Int { columns.reduce(columns.count - 1) { $0 + $1.width } }
        if let width {
            while total() > width, columns.count > 1,
                let lightest = columns.indices.min(by: { columns[$0].weight < columns[$1].weight })
            {
                columns.remove(at: lightest)
            }
            urlWidth = Column.url.width + max(0, width - total())
        } else {
            urlWidth = nil
        }
        self.columns = columns
        self.isUnicode = isUnicode
    }

    var heading: String { line { $0.title } }

    func line(_ row: TopModel.Row) -> String { line { text(of: $0, row) } }

    private func line(_ text: (Column) -> String) -> String {
        var line = ""
        for (index, column) in columns.enumerated() {
            if index > 0 { line += " " }
            var cell = text(column)
            let width = column == .url ? urlWidth ?? cell.count : column.width
            if cell.count > width { cell = String(cell.prefix(width)) }
            let padding = String(repeating: " ", count: width - cell.count)
            line += column.isRight ? padding + cell : column == .url ? cell : cell + padding
        }
        return line
    }

    private func text(of column: Column, _ row: TopModel.Row) -> String {
        let job = row.job
        switch column {
        case .id: return TopModel.plain(job.id)
        case .user: return "\(job.userID)"
        case .state: return job.state.rawValue
        case .tries: return "\(job.attempts)"
        case .rate: return Self.rate(row.rate)
        case .percent: return row.fraction.map { "\(Int($0 * 100))" } ?? "-"
        case .bar:
            return row.fraction.map { Bar(fraction: $0, isUnicode: isUnicode).drawn(column.width) } ?? ""
        case .bytes: return Self.bytes(job.bytesDelivered)
        case .size: return job.contentLength.map(Self.bytes) ?? "-"
        case .buffered: return "\(Self.bytes(job.bytesBuffered))/\(Self.bytes(job.highWatermark))"
        case .marks: return marks(job, column.width)
        case .stalled: return job.stalledUsec > 0 ? Elapsed.brief(Double(job.stalledUsec) / 1e6) : "-"
        case .age: return Elapsed.brief(row.age)
        case .url: return TopModel.plain(job.url, isUnicode: isUnicode)
        }
    }

    /// The waiting bytes as a part of the high watermark, with a stroke at the low watermark: `[####|###  ]`.
    private func marks(_ job: Job, _ width: Int) -> String {
        let inside = width - 2
        guard job.highWatermark > 0 else { return "" }
        func cells(_ bytes: Int) -> Int {
            Int(min(1, max(0, Double(bytes) / Double(job.highWatermark))) * Double(inside))
        }
        let filled = cells(job.bytesBuffered)
        let low = min(inside - 1, cells(job.lowWatermark))
        let inner = (0..<inside).map { index in
            index == low ? (isUnicode ? "│" : "|") : index < filled ? (isUnicode ? "█" : "=") : " "
        }
        return "[\(inner.joined())]"
    }

    static func bytes(_ count: Int) -> String { ByteSize.describe(max(0, count)) }

    static func rate(_ rate: Double?) -> String {
        guard let rate, let whole = Int(exactly: rate.rounded()) else { return "-" }
        return "\(bytes(whole))/s"
    }
}
