# Two stages: build with the pinned toolchain, then a slim Debian with the one binary in it.
# Both base images can be replaced: --build-arg BUILDER=... --build-arg BASE=...
ARG BUILDER=rust:1.95-slim-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BUILDER} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
# Tests and benchmarks are workspace members but are not part of the image: only their manifests are needed.
COPY tests/Cargo.toml tests/Cargo.toml
COPY bench/Cargo.toml bench/Cargo.toml
RUN mkdir -p tests/src bench/src \
 && touch tests/src/lib.rs \
 && echo 'fn main() {}' > bench/src/main.rs \
 && cargo build --release --locked -p ottla-cli \
 && strip -o /ottla target/release/ottla

FROM ${BASE}
COPY --from=build /ottla /usr/local/bin/ottla
RUN groupadd --system --gid 1000 ottla \
 && useradd --system --uid 1000 --gid 1000 --no-create-home --home-dir /data ottla \
 && mkdir /data \
 && chown ottla:ottla /data
USER ottla
VOLUME /data
# Kafka's protocol, HTTP (which 9092 answers as well), Kafka's protocol for other containers.
EXPOSE 9092 9644 19092
# Asks the broker itself, over the protocol that clients use.
HEALTHCHECK --interval=2s --timeout=3s --start-period=2s --retries=5 \
  CMD ["ottla", "topic", "list", "--bootstrap-server", "127.0.0.1:9092"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["ottla"]
CMD ["serve", "--data-dir", "/data", "--host", "0.0.0.0"]
