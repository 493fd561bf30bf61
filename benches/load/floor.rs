//! The floor: what a proxy on Pingora costs that does nothing at all. Whatever the gateway costs beyond it is ours.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::{GetSocketDigest, SocketDigest};
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{HttpProxy, ProxyHttp, Session};
use tokio::net::TcpListener;
use tokio::sync::watch;

struct PassThrough {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    // As in the gateway: none.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn upstream_peer(&self, _session: &mut Session, _context: &mut ()) -> pingora_error::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Runs until it is killed. The first line of its output is its address.
pub async fn serve(upstream: SocketAddr) -> Result<()> {
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 1_024, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(PassThrough { upstream }, Arc::new(conf));
    proxy.handle_init_modules();
    let proxy = Arc::new(proxy);
    // An accept loop of our own: Pingora's service cannot say which port it got.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let (_stay, shutdown) = watch::channel(false);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        let mut stream = Stream::from(stream);
        stream.set_socket_digest(digest);
        let (proxy, shutdown) = (proxy.clone(), shutdown.clone());
        tokio::spawn(async move { proxy.process_new(Box::new(stream), &shutdown).await });
    }
}
