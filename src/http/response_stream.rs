//! An operation as what it tells one after the other, whichever transport takes it on: the same for one that is answered once
//! and for one that goes on.

use futures_util::stream::{self, Stream, StreamExt as _};

use crate::operation::subscription::{OperationOutput, Subscription};
use crate::operation::{OperationResponse, Outcome};
use crate::telemetry::requests::Transport;

/// One thing that an operation tells.
#[derive(Debug)]
pub(crate) enum ResponseEvent {
    /// An answer, and where a subscription stands behind it.
    Next(OperationResponse, Option<String>),
    /// Why it did not begin, or why it does not go on: errors alone, and nothing follows.
    Failed(OperationResponse),
}

/// What an operation tells.
pub(crate) fn response_events(
    opened: OperationOutput,
    transport: Transport,
) -> impl Stream<Item = ResponseEvent> + Send + 'static {
    match opened {
        OperationOutput::Response(answer) => stream::iter([once(answer)]).left_stream(),
        OperationOutput::Subscription(subscription) => {
            subscription_events(*subscription, transport).right_stream()
        }
    }
}

fn once(answer: OperationResponse) -> ResponseEvent {
    match answer.outcome {
        Outcome::Executed { .. } => ResponseEvent::Next(answer, None),
        Outcome::Refused | Outcome::NotByThisTransport | Outcome::Overloaded | Outcome::Crashed => {
            ResponseEvent::Failed(answer)
        }
    }
}

/// What a subscription tells.
pub(crate) fn subscription_events(
    subscription: Subscription,
    transport: Transport,
) -> impl Stream<Item = ResponseEvent> + Send + 'static {
    let listening = subscription.listening(transport);
    stream::unfold((subscription, listening), async |(mut subscription, mut listening)| {
        let message = subscription.next().await?;
        let told = if subscription.has_ended() {
            ResponseEvent::Failed(message.response)
        } else {
            ResponseEvent::Next(message.response, Some(message.position))
        };
        listening.told();
        Some((told, (subscription, listening)))
    })
}
