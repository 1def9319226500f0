internal import Foundation
internal import FoundationNetworking

/// A request that makes URLSession call libcurl. Its answer does not matter.
public enum TrialRequest {
    /// Usually no program listens there. If one does, the request serves its purpose as well.
    private static let url = "http://127.0.0.1:1/"

    /// Makes the request and waits until it has ended, which takes a moment.
    public static func make() {
        guard let url = URL(string: url) else { return }
        let session = URLSession(configuration: .ephemeral)
        let isOver = DispatchSemaphore(value: 0)
        session.dataTask(with: url) { _, _, _ in isOver.signal() }.resume()
        isOver.wait()
    }
}
