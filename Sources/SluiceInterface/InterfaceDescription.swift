extension Ingest {
    /// The text that introspection shows, in varlink's notation. It is the contract for every client.
    public static let description = """
        # Bodies of URLs, through pipes, at the consumer's pace.
        #
        # Who asks is known from the socket (SO_PEERCRED): a user sees and cancels only jobs of their own, root all.
        # Sizes are in bytes, fields that end in Usec in microseconds (since 1970 where they name a moment).
        interface io.sluice.Ingest

        # queued: waits for a lane. connecting: no response head yet. streaming: the body flows. stalled: the consumer
        # does not read and the origin waits. parked: it has not read for long; the connection is given up, and the body
        # goes on with the next byte once it reads. waiting: for the next attempt. complete, failed and cancelled are final.
        type State (queued, connecting, streaming, stalled, parked, waiting, complete, failed, cancelled)

        # Why a job ended. complete: every byte was delivered. completeUnverified: the body ended with the connection,
        # and nothing says whether that was its end. unchanged: ifNoneMatch names the current version, and no byte was
        # delivered. digestMismatch: every byte was delivered, and it is not the body that was meant. With every other
        # code the consumer has an exact prefix.
        type OutcomeCode (
          \(OutcomeCode.allCases.map(\.rawValue).joined(separator: ",\n          "))
        )

        # The result: a word for programs, a sentence for people, and what to do about it.
        type Outcome (code: OutcomeCode, message: string, remedy: ?string)

        # One time that the origin was asked: position is the first byte it was to deliver, code and message say why it was
        # over (nothing, where it runs or the job was parked).
        type Attempt (
          number: int,
          position: int,
          startedUsec: int,
          endedUsec: ?int,
          httpStatus: ?int,
          code: ?OutcomeCode,
          message: ?string
        )

        # A job at one moment. The values in the query of its url are blanked out.
        #
        # bytesReceived came from the origin; bytesDelivered are in the consumer's pipe or through it, always the first
        # ones of the body; bytesBuffered wait in the lane. The gate closes when highWatermark bytes wait and opens at
        # lowWatermark: gateClosures and stalledUsec say how often and for how long the consumer was the slow one.
        # contentEncoding names the coding of a coded body, which is delivered as the origin sent it.
        # attempts counts all attempts, attemptLog has the latest; retryUsec is when the next one begins. digest is
        # "sha256:" or "sha512:" and hexadecimal digits, of a whole body, where one was asked for or checked.
        type Job (
          id: string,
          url: string,
          userID: int,
          processID: int,
          state: State,
          createdUsec: int,
          startedUsec: ?int,
          finishedUsec: ?int,
          attempts: int,
          attemptLog: []Attempt,
          retryUsec: ?int,
          httpStatus: ?int,
          contentLength: ?int,
          contentEncoding: ?string,
          bytesReceived: int,
          bytesDelivered: int,
          bytesBuffered: int,
          gateClosures: int,
          stalledUsec: int,
          highWatermark: int,
          lowWatermark: int,
          etag: ?string,
          digest: ?string,
          laneProcessID: ?int,
          outcome: ?Outcome
        )

        # A field of the request.
        type HeaderField (name: string, value: string)

        # How many jobs are in each state; the final ones, and attempts beyond a job's first (retried), since the service
        # started.
        type JobCounts (
          queued: int,
          connecting: int,
          streaming: int,
          stalled: int,
          parked: int,
          waiting: int,
          complete: int,
          failed: int,
          cancelled: int,
          retried: int
        )

        # How many lanes are in each state, how many have died since the service started, how many there may be.
        type LaneCounts (busy: int, idle: int, starting: int, died: int, limit: int)

        # counter: grows, from the service's start on. gauge: what is now. histogram: how many took how long. info: says
        # something in its labels; the number is 1.
        type MetricKind (counter, gauge, histogram, info)

        # How many were at most upperBound, those of the buckets before included.
        type MetricBucket (upperBound: float, count: int)

        # What is above the last bucket's bound is in count and sum alone.
        type MetricHistogram (count: int, sum: float, buckets: []MetricBucket)

        # One number, or one histogram.
        type MetricSample (labels: [string]string, value: ?float, histogram: ?MetricHistogram)

        # A family of OpenMetrics: its name is without _total, and ends in the unit (bytes, seconds) where there is one.
        # New ones may come with new versions.
        type Metric (name: string, kind: MetricKind, unit: ?string, help: string, samples: []MetricSample)

        # Asks for the body of an absolute http or https URL. The reply carries the read end of a pipe: bodyFileDescriptor
        # is its index among the reply's descriptors. With `upgrade` no descriptor is passed, and the body follows the
        # reply on the connection itself until it is closed. What is left out comes from the service's settings.
        # An end of file does not tell whether the body is whole: ask Wait, or call with `more`: then there is a second
        # reply when the job has ended, with the job, and the calls behind this one wait for that.
        #
        # headers are added to the request; those of the connection and of ranges are refused. Four fields limit times:
        # connectTimeoutSeconds until a connection is ready for the request; headTimeoutSeconds from then on until the
        # head of the response; silenceTimeoutSeconds for how long the origin may send nothing while the consumer keeps
        # up; deadlineSeconds for the whole job. An attempt fails if the origin sends less than minimumSpeed bytes a
        # second, over 30 s in which the consumer keeps up; 0 is no such limit. A body larger than maximumSize fails the
        # job. retries is how many attempts may fail in a row before the job does. digest is what the body must have
        # ("sha256:" or "sha512:" and hexadecimal digits), or the name of the algorithm alone to be told it. ifNoneMatch
        # names versions that need not be sent.
        # identity refuses a body with a content coding. allowDowngrade follows redirects from https to http, which are
        # also followed where digest has digits. http1 speaks HTTP/1.1 and nothing newer.
        method Fetch(
          url: string,
          headers: ?[]HeaderField,
          highWatermark: ?int,
          lowWatermark: ?int,
          connectTimeoutSeconds: ?float,
          headTimeoutSeconds: ?float,
          silenceTimeoutSeconds: ?float,
          # The former name of silenceTimeoutSeconds, until 0.5.0.
          stallTimeoutSeconds: ?float,
          minimumSpeed: ?int,
          deadlineSeconds: ?float,
          maximumSize: ?int,
          retries: ?int,
          digest: ?string,
          ifNoneMatch: ?string,
          identity: ?bool,
          allowDowngrade: ?bool,
          http1: ?bool
        ) -> (id: string, bodyFileDescriptor: ?int, job: ?Job)

        # Replies when the job has ended.
        method Wait(id: string) -> (job: Job)

        # Replies now, at every change of state, and while bytes flow at most every intervalSeconds (0.1 to 3600; 1 if
        # left out). Ends with the job; without an id it tells of all the caller's jobs and does not end. Needs `more`.
        method Watch(id: ?string, intervalSeconds: ?float) -> (job: Job)

        # The caller's jobs, oldest first: those that have not ended and, unless active is true, as many of the others as
        # the service remembers; only those of one user, or in some states, where that is asked for. They come in pages of
        # at most limit (1 to 500; 100 if left out), which may have fewer: next is there as long as there is more, and is
        # what after has to be for the next page.
        method List(
          active: ?bool,
          userID: ?int,
          states: ?[]State,
          limit: ?int,
          after: ?int
        ) -> (jobs: []Job, next: ?int)

        # One job.
        method Show(id: string) -> (job: Job)

        # Ends a job, in whatever state it is. Replies when it has ended; a job that has ended before stays as it is.
        method Cancel(id: string) -> (job: Job)

        # Has the service refuse new jobs until it is told Undrain or is restarted; those that there are go on. Replies with
        # how many have not ended; with `more` again as that changes, until it is 0, or until Undrain. For root, and for the
        # user that the service runs as.
        method Drain() -> (jobs: int)

        # Has the service accept new jobs again. For those who may Drain.
        method Undrain() -> ()

        # The service itself.
        method Status() -> (
          version: string,
          processID: int,
          startedUsec: int,
          status: string,
          jobs: JobCounts,
          lanes: LaneCounts,
          bytesDelivered: int,
          pipeBytes: int,
          pipeBudget: int,
          connections: int
        )

        # The service in numbers, everybody's jobs together: who is who is not told, so everybody may ask. With byName there
        # are numbers for users and hosts as well; for root, and for the user that the service runs as.
        method Metrics(byName: ?bool) -> (metrics: []Metric)

        # No job of yours has this id: it never was, it has been forgotten, or it is another user's.
        error NoSuchJob (id: string)

        # A parameter of Fetch cannot be accepted: which, why, and what would be.
        error InvalidRequest (parameter: string, reason: string, remedy: string)

        # You, or all users together, have as many jobs as there may be.
        error TooManyJobs (limit: int)

        # You have as many calls of Watch under way as one user may have.
        error TooManyWatchers (limit: int)

        # You, or all users together, have as many connections as there may be.
        error TooManyConnections (limit: int)

        # The service is short of what a job needs (descriptors, memory): try again later.
        error ResourcesExhausted (reason: string)

        # The settings do not allow you to use the service. Also the answer to a connection, before anything was asked.
        error NotAllowed (userID: int)

        # The service accepts no new jobs for now; it finishes those that there are.
        error Draining ()

        # The service is stopping.
        error Stopping ()
        """
}
