/// A queue whose first element goes at constant cost.
struct FIFO<Element>: Sequence {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    func makeIterator() -> some IteratorProtocol<Element> {
        elements[head...].lazy.compactMap { $0 }.makeIterator()
    }

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    /// For what comes back: at linear cost, and rare.
    mutating func prepend(_ element: Element) {
        elements.replaceSubrange(..<head, with: [element])
        head = 0
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        elements = elements[head...].filter { $0.map { !isUnwanted($0) } ?? false }
        head = 0
    }

    mutating func removeFirst() {
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.capacity < 1024)
            head = 0
        } else if head > 1024 {
            elements.removeFirst(head)
            head = 0
        }
    }
}
