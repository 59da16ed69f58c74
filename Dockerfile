# One binary, the C library that it needs and the certificates that it trusts: no shell, no package manager, no root.
#
#   docker build -t switchboard .
#
# Images are named by version. Pin them by digest where you build for others (rust:…@sha256:…).

FROM rust:1.95-slim-trixie AS build
# "dist" takes minutes longer than "release" and is smaller and faster.
ARG PROFILE=dist
# Without a profile of typical requests (deploy/pgo), thin link-time optimisation gives slower code.
ENV CARGO_PROFILE_DIST_LTO=fat
WORKDIR /src
# The dependencies alone, under an empty program: this layer is built again only after a change of a manifest.
COPY Cargo.toml Cargo.lock ./
# hadolint ignore=DL4006 # `echo` does not fail
RUN mkdir src && echo '//! Empty.' | tee src/lib.rs > src/main.rs && echo 'fn main() {}' >> src/main.rs \
    && cargo build --locked --profile "$PROFILE" --bin switchboard \
    && rm -r src
COPY . .
# Copied files are older than the empty program, so Cargo would not build them.
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --profile "$PROFILE" --bin switchboard \
    && mv "target/$PROFILE/switchboard" /switchboard

FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="Switchboard" \
      org.opencontainers.image.description="One GraphQL graph over LeadLex's integration status and Composio's connected accounts" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /switchboard /switchboard
# Clients outside the container connect to its address, so it listens on all addresses, and auth.mode "none" is refused.
ENV SWITCHBOARD__HTTP__LISTEN=0.0.0.0:8080 \
    SWITCHBOARD__OPS__LISTEN=0.0.0.0:9090 \
    SWITCHBOARD__LOG__FORMAT=json
EXPOSE 8080 9090
# The base image's "nonroot". Nothing is written, so any other user works too.
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/switchboard", "ready"]
ENTRYPOINT ["/switchboard"]
CMD ["serve"]
