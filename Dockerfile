# The image of the daemon: docker build -t registry.example/triton:0.1.0 .
#
# It can be repeated byte by byte: name the two base images by digest (--build-arg RUST=rust@sha256:…), build with
# --output type=image,rewrite-timestamp=true and SOURCE_DATE_EPOCH=0; everything else is locked here.
ARG RUST=docker.io/library/rust:1.95.0-bookworm
ARG DEBIAN=docker.io/library/debian:bookworm-slim

FROM ${RUST} AS program
WORKDIR /triton
COPY Cargo.toml Cargo.lock README.md ./
COPY src src
COPY examples examples
COPY benches benches
# One static file. --target keeps the flags from programs that the build itself runs.
ENV RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/triton=/ --remap-path-prefix=/usr/local/cargo=/cargo"
RUN target=$(rustc --print host-tuple) \
 && cargo build --release --locked --bin triton --target "$target" \
 && cp "target/$target/release/triton" /usr/local/bin/triton

FROM ${DEBIAN} AS root
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates openssh-client
COPY --from=program /usr/local/bin/triton /usr/local/bin/triton
COPY deploy/root /usr/local/bin/root
RUN root /image /usr/local/bin/triton

FROM scratch
COPY --from=root /image /
ENV PATH=/usr/bin
USER 65532:65532
ENTRYPOINT ["triton"]
