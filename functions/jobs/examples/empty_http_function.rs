//! An HTTP function that does nothing. `make bench` compares its start-up cost with that of the real functions.

use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| Ok::<_, Error>(""))).await
}
