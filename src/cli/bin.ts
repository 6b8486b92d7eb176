#!/usr/bin/env node
import { COSMOS_ENDPOINT } from '../constants.js';
import { createTelemetryCli } from './telemetry-cli.js';

const cli = createTelemetryCli({ product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT, command: 'cosmos-telemetry' });
process.exitCode = await cli.run(process.argv.slice(2));
