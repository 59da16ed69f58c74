# One static binary, the certificates that it trusts, and nothing else: no shell, no package manager, nobody who is root.
#
#   docker build -t switchboard .
#
# Images are named by version. Where you build for others, pin them by digest as well (rust:…@sha256:…).

FROM rust:1.95-alpine3.23 AS build
# What the C parts are built with: TLS (aws-lc), the allocator, zstd. Versions are those of the base image's release.
# hadolint ignore=DL3018
RUN apk add --no-cache ca-certificates clang cmake g++ linux-headers make musl-dev perl
WORKDIR /src
COPY . .
# On Alpine, Rust links statically. A binary that still asked for a loader could not start in the image below.
RUN cargo build --locked --profile dist --bin switchboard \
    && readelf --program-headers target/dist/switchboard > /tmp/headers && ! grep INTERP /tmp/headers

FROM scratch
LABEL org.opencontainers.image.title="Switchboard" \
      org.opencontainers.image.description="One GraphQL graph over LeadLex's integration status and Composio's connected accounts" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# One of the places where Switchboard looks for the certificates of authorities; SSL_CERT_FILE names another.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/switchboard /switchboard
# Inside a container loopback is nobody's. So auth.mode "none" is refused here: set another.
ENV SWITCHBOARD__HTTP__LISTEN=0.0.0.0:8080 \
    SWITCHBOARD__OPS__LISTEN=0.0.0.0:9090 \
    SWITCHBOARD__LOG__FORMAT=json
EXPOSE 8080 9090
# Nobody's number on most machines; nothing is written, so any other will do.
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/switchboard", "ready"]
ENTRYPOINT ["/switchboard"]
CMD ["serve"]
