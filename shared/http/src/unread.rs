use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt};

/// How much of a body that nobody needs is read and thrown away, and for how long.
const UNWANTED_BYTES: usize = 64 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(15);

/// Lets a client that is still sending read the answer it was given early.
///
/// A handler may answer before the body has ended: 401, 413. If the server then closed the connection, the client's system
/// would throw the answer away with it. So the rest is read and dropped, within bounds, while the answer is already on its
/// way: `curl` stops sending when it sees it, and simple clients that send first and read later get it too.
pub(crate) async fn read_on(request: Request, next: Next) -> Response {
    let waits = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::from_stream(Unread { stream: Some(body.into_data_stream()), begun: !waits })
    });
    next.run(request).await
}

struct Unread {
    stream: Option<BodyDataStream>,
    /// Whether the client is sending. One that said `Expect: 100-continue` waits until somebody reads.
    begun: bool,
}

impl Stream for Unread {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.begun = true;
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let next = stream.poll_next_unpin(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.stream = None;
        }
        next
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take().filter(|stream| self.begun && !stream.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(UNWANTED_TIME, discard(stream)));
        }
    }
}

async fn discard(mut stream: BodyDataStream) {
    let mut left = UNWANTED_BYTES;
    while let Some(Ok(chunk)) = stream.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}
