//! The function behind the WebSocket API's `$disconnect` and `$default`: it unsubscribes a client, and answers what a client
//! sends.

use attendance_lambda::Container;
use attendance_wire::client::{Action, PONG};
use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let push = Container::start().await?.aws.push();
    let answer = async |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| -> Result<Value, Error> {
        let request = event.payload;
        let id = request.request_context.connection_id.ok_or("a connection without an id")?;
        if request.request_context.route_key.as_deref() == Some("$disconnect") {
            push.disconnect(&id).await?;
        } else {
            match Action::parse(request.body.as_deref().unwrap_or_default()) {
                Some(Action::Ping) => push.send(&id, PONG).await?,
                Some(Action::Resume { since }) => push.resume(&id, since).await?,
                None => {}
            }
        }
        Ok(json!({"statusCode": 200}))
    };
    lambda_runtime::run(service_fn(answer)).await
}
