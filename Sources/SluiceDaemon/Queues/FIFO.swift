/// A queue whose first element can be removed at constant cost.
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

    /// Inserts an element into a sorted queue, behind all elements that must not come after it. Insertion at the end is
    /// cheap; elsewhere the cost grows with the number of elements behind it.
    mutating func insert(_ element: Element, by isAfter: (_ other: Element) -> Bool) {
        var (low, high) = (head, elements.count)
        if let last = elements.last, head < elements.count, last.map(isAfter) ?? false {
            while low < high {
                let middle = (low + high) / 2
                if elements[middle].map(isAfter) ?? false { high = middle } else { low = middle + 1 }
            }
        } else {
            low = elements.count
        }
        elements.insert(element, at: low)
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        elements = elements[head...].filter { $0.map { !isUnwanted($0) } ?? false }
        head = 0
    }

    /// Removes the first element. The queue must not be empty.
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
