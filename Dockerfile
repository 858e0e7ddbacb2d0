# Two stages: one builds dist/ with the development tools, the other holds what runs.
FROM node:22-slim AS build
WORKDIR /app
# The pinned `node` package is for machines with another Node; the image has the right one, so no install scripts.
COPY package.json package-lock.json .npmrc LICENSE ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY engine engine
COPY net net
COPY proto proto
RUN npm run build
RUN npm prune --omit=dev --ignore-scripts

FROM node:22-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN groupadd --system millrace && useradd --system --gid millrace --no-create-home millrace \
  && mkdir /data && chown millrace:millrace /data
USER millrace
VOLUME /data
EXPOSE 6379
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "const s=require('net').connect(6379,()=>s.write('PING\\r\\n'));s.on('data',()=>process.exit(0));s.on('error',()=>process.exit(1))"]
# A container is reached from outside, so it listens on every address; give --requirepass where others can reach it too.
# Arguments to the container come behind these, and overrule them.
ENTRYPOINT ["node", "dist/net/main.js", "--bind", "0.0.0.0", "--dir", "/data"]
