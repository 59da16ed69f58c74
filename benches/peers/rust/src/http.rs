//! A minimal HTTP/1.1 load client: one persistent connection, one request at a time, no copies.
//!
//! The driver and the upstream share a core, so CPU time of the driver is missing for the upstream. In the
//! hot rows the driver must be faster than the fastest server. A general client costs several times as much.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A persistent connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The response to one request. Its bytes are in the connection's buffer until the next request.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The body as received, with the framing of a chunked one.
    framed: &'a [u8],
    chunked: bool,
}

impl Answer<'_> {
    /// A lower bound: framing counts.
    pub(crate) fn length(&self) -> usize {
        self.framed.len()
    }

    pub(crate) fn body(&self) -> Result<Vec<u8>> {
        if !self.chunked {
            return Ok(self.framed.to_vec());
        }
        let (mut body, mut rest) = (Vec::new(), self.framed);
        loop {
            let end = memmem::find(rest, b"\r\n").ok_or_else(broken)?;
            let size =
                std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(broken)?;
            rest = &rest[end + 2..];
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(rest.get(..size).ok_or_else(broken)?);
            rest = rest.get(size + 2..).ok_or_else(broken)?;
        }
    }
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(128 << 10) })
    }

    /// Sends a complete request and reads the complete response.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break Head::parse(&self.buffer[..end + 4])?;
            }
        };
        match head.length {
            Some(length) => {
                while self.buffer.len() < head.size + length {
                    self.read().await?;
                }
            }
            // JSON has no raw line breaks, so this is not part of it.
            None => {
                while !self.buffer.ends_with(b"\r\n0\r\n\r\n") {
                    self.read().await?;
                }
            }
        }
        Ok(Answer { status: head.status, framed: &self.buffer[head.size..], chunked: head.length.is_none() })
    }

    async fn read(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

struct Head {
    status: u16,
    /// The length of the head in bytes.
    size: usize,
    /// The length of the body, `None` if chunked.
    length: Option<usize>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| broken())?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(broken)?;
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
        });
        Ok(Self { status, size: bytes.len(), length })
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::InvalidData, "no HTTP/1.1 answer")
}

/// A complete `POST /graphql`.
pub(crate) fn post(to: SocketAddr, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\naccept: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
